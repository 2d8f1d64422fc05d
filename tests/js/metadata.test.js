import assert from "node:assert/strict"
import { test } from "node:test"
import { allFacts, readMetadata, shortFacts } from "../../static/js/state/metadata.js"
import { fileName, fromHistory, fromImage } from "../../static/js/state/pictures.js"
import { param } from "./support/wire.js"

const TEXT = JSON.stringify({
  sui_image_params: {
    model: "folder/ink.safetensors",
    prompt: "a cat",
    seed: 5,
    steps: 20,
    width: 512,
    height: 768,
    loras: ["a", "b"],
  },
  sui_extra_data: { date: "2026-08-01", generation_time: "4.84 sec" },
  is_starred: true,
})
const SESSION = { user_id: "local", output_append_user: true }

test("what is no metadata is null", () => {
  for (const text of [null, undefined, "", "no json", "{"]) assert.equal(readMetadata(text), null)
})

test("long seeds keep every digit, long numbers inside text stay as they are", () => {
  const { params } = readMetadata(
    `{"sui_image_params": {"seed": 9223372036854775807, "prompt": "12345678901234567890 \\" 1"}}`,
  )
  assert.deepEqual(params, { seed: "9223372036854775807", prompt: '12345678901234567890 " 1' })
})

test("the short line names the model, the size and the settings", () => {
  assert.deepEqual(
    shortFacts(readMetadata(TEXT)).map(({ text }) => text),
    ["ink", "512 × 768", "seed 5", "20 steps"],
  )
})

test("all facts begin with the prompt and use the names of the parameters", () => {
  const facts = allFacts(readMetadata(TEXT), new Map([["loras", param("loras", { name: "LoRAs" })]]))
  assert.deepEqual(facts[0], { id: "prompt", name: "Prompt", text: "a cat" })
  assert.deepEqual(
    facts.find(({ id }) => id === "loras"),
    { id: "loras", name: "LoRAs", text: "a, b" },
  )
  assert.deepEqual(facts.at(-1), { id: "generation_time", name: "Generation time", text: "4.84 sec" })
})

test("a file of the history knows its address, also with signs that mean something there", () => {
  const picture = fromHistory({ src: "100%/a cat #1.png", metadata: TEXT }, "raw", SESSION)
  assert.equal(picture.url, "View/local/raw/100%25/a%20cat%20%231.png")
  assert.equal(picture.preview, `${picture.url}?preview=true`)
  assert.deepEqual([picture.path, picture.starred], ["raw/100%/a cat #1.png", true])
})

test("an announced picture is in the history, one that was not saved is only here", () => {
  const saved = fromImage({ image: "View/local/raw/a cat.png", metadata: null }, "run1/0", SESSION)
  assert.deepEqual(
    [saved.path, saved.url, fileName(saved)],
    ["raw/a cat.png", "View/local/raw/a%20cat.png", "a cat.png"],
  )
  const unsaved = fromImage({ image: "data:image/png;base64,AA", metadata: null }, "run1/0", SESSION)
  assert.deepEqual([unsaved.path, fileName(unsaved)], [null, "picture.png"])
  const plain = fromImage({ image: "Output/raw/a.png" }, "run1/0", { user_id: "local", output_append_user: false })
  assert.equal(plain.path, "raw/a.png")
})

test("damaged metadata is null or facts, and never an error", () => {
  const known = new Map([["loras", param("loras", { name: "LoRAs" })]])
  const values = [null, true, 5, -1, "", "x", [], [[]], {}, { a: {} }, "\u0000", { toString: 1 }, [{ toString: 1 }]]
  const shapes = values.flatMap((value) => [
    value,
    { sui_image_params: value },
    { sui_image_params: { prompt: value, seed: value, width: value, model: value, loras: value } },
    { sui_image_params: {}, sui_extra_data: value, sui_models: value },
    { sui_image_params: { ["__proto__"]: value, constructor: value, toString: value } },
  ])
  const cut = [...TEXT].map((_, at) => TEXT.slice(0, at) + TEXT.slice(at + 1))
  const swapped = [...TEXT].map((_, at) => `${TEXT.slice(0, at)}"${TEXT.slice(at + 1)}`)
  for (const text of [...shapes.map((shape) => JSON.stringify(shape)), ...cut, ...swapped]) {
    const metadata = readMetadata(text)
    if (metadata === null) continue
    for (const { text: shown } of [...shortFacts(metadata), ...allFacts(metadata, known)]) {
      assert.equal(typeof shown, "string")
    }
  }
  assert.equal({}.prompt, undefined)
})
