import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { test } from "node:test"
import { allowed, limits, sliderRange } from "../../static/js/fields/number.js"
import { param } from "./support/wire.js"

const STATIC = new URL("../../static/", import.meta.url)
const files = (ending) => readdirSync(STATIC, { recursive: true }).filter((name) => name.endsWith(ending))
const text = (name) => readFileSync(new URL(name, STATIC), "utf8")

test("numbers are kept within what the server accepts", () => {
  const steps = param("steps", { type: "integer", min: 0, max: 500 })
  assert.deepEqual(
    ["20", "20.6", "900", "-3", "", "x"].map((value) => allowed(steps, value)),
    ["20", "21", "500", "0", null, null],
  )
  assert.equal(allowed(param("rho", { type: "decimal" }), "1e3"), "1000")
  assert.equal(limits(param("rho", { type: "decimal" })), null)
})

test("a slider covers the usual range, or the allowed one", () => {
  assert.deepEqual(sliderRange(param("steps", { max: 500, view_max: 60 })), { min: 0, max: 60 })
  assert.deepEqual(sliderRange(param("creativity", { max: 1 })), { min: 0, max: 1 })
})

test("nothing is inline and nothing comes from elsewhere", () => {
  const page = text("index.html")
  assert.doesNotMatch(page, /\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)/)
  for (const name of [...files(".html"), ...files(".css"), ...files(".js")]) {
    assert.doesNotMatch(text(name).replaceAll("http://www.w3.org/2000/svg", ""), /https?:\/\/|(?:src|href)="\//, name)
  }
})

test("every asset of the page carries the version stamp and exists", () => {
  const assets = [...text("index.html").matchAll(/<(?:link|script|img)[^>]*\s(?:href|src)="([^"#]+)"/g)].map(([, address]) => address)
  assert.ok(assets.length > 10)
  for (const address of assets) {
    assert.match(address, /\?vary=\{\{vary\}\}$/)
    readFileSync(new URL(address.split("?")[0], STATIC))
  }
})

test("colours are said in one place", () => {
  for (const name of files(".css").filter((file) => !file.endsWith("tokens.css"))) {
    assert.doesNotMatch(text(name), /#[0-9a-f]{3,8}\b(?!["'])/i, name)
  }
})

test("no file is too long to read", () => {
  for (const name of files(".js")) assert.ok(text(name).split("\n").length <= 400, name)
})

/** Relative luminance and contrast as WCAG 2 defines them. */
function luminance(hex) {
  const [red, green, blue] = [1, 3, 5]
    .map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

function contrast(one, other) {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a)
  return (light + 0.05) / (dark + 0.05)
}

function tokens(theme) {
  const css = text("css/tokens.css")
  const raw = Object.fromEntries(
    [...css.matchAll(/(--[\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name, value]),
  )
  const meanings = [
    ...css.matchAll(/(--color-[\w-]+): (?:light-dark\(var\((--[\w-]+)\), var\((--[\w-]+)\)\)|var\((--[\w-]+)\));/g),
  ]
  return Object.fromEntries(
    meanings.map(([, name, light, dark, both]) => [name, raw[both ?? (theme === "light" ? light : dark)]]),
  )
}

for (const theme of ["light", "dark"]) {
  test(`text and controls stand out enough in the ${theme} theme (WCAG AA)`, () => {
    const color = tokens(theme)
    for (const ground of ["canvas", "panel", "raised", "well", "hover"]) {
      for (const ink of ["text", "muted"])
        assert.ok(contrast(color[`--color-${ink}`], color[`--color-${ground}`]) >= 4.5, `${ink} on ${ground}`)
    }
    for (const ink of ["error", "warn", "good"])
      assert.ok(contrast(color[`--color-${ink}`], color["--color-panel"]) >= 4.5, ink)
    for (const mark of ["mark", "focus", "control", "field"])
      assert.ok(contrast(color[`--color-${mark}`], color["--color-panel"]) >= 3, mark)
    assert.ok(contrast(color["--color-on-accent"], color["--color-accent"]) >= 4.5)
  })
}
