import assert from "node:assert/strict"
import { test } from "node:test"
import { fieldKind, isShown, requestOf, same, wireValue } from "../../static/js/state/rules.js"
import { group, param } from "./support/wire.js"

const NOTHING = { values: {}, on: {}, groups: {} }

function world(list, groups = [], choices = {}, features = []) {
  return {
    params: new Map(list.map((one) => [one.id, one])),
    groups: new Map(groups.map((one) => [one.id, one])),
    choices: { ...NOTHING, ...choices },
    features: new Set(features),
    advanced: false,
    search: "",
  }
}

test("a field is chosen by type, and by the seed view", () => {
  assert.equal(fieldKind(param("steps", { type: "integer" })), "number")
  assert.equal(fieldKind(param("seed", { type: "integer", view_type: "seed" })), "seed")
  assert.equal(fieldKind(param("shiny", { type: "shiny" })), "shiny")
})

test("a toggleable parameter is sent only while it is on", () => {
  const sampler = param("sampler", { type: "dropdown", default: "euler", toggleable: true })
  assert.deepEqual(requestOf(world([sampler])), {})
  assert.deepEqual(requestOf(world([sampler], [], { on: { sampler: true } })), { sampler: "euler" })
})

test("nothing of a group that is off is sent, nor of the groups inside it", () => {
  const groups = [group("outer", { toggles: true }), group("inner", { parent: "outer" })]
  const deep = param("deep", { type: "integer", default: "3", group: "inner" })
  assert.deepEqual(requestOf(world([deep], groups)), {})
  assert.deepEqual(requestOf(world([deep], groups, { groups: { outer: true } })), { deep: 3 })
})

test("a parameter whose features are missing is neither shown nor sent", () => {
  const both = param("both", { type: "integer", default: "1", feature_flag: "comfyui, freeu" })
  assert.equal(isShown(both, world([both], [], {}, ["comfyui"])), false)
  assert.deepEqual(requestOf(world([both], [], {}, ["comfyui"])), {})
  assert.equal(isShown(both, world([both], [], {}, ["comfyui", "freeu"])), true)
})

test("what depends on another parameter waits for it to change", () => {
  const strength = param("strength", { type: "decimal", default: "0" })
  const detail = param("detail", { type: "integer", default: "2", depend_non_default: "strength" })
  assert.equal(isShown(detail, world([strength, detail])), false)
  assert.equal(isShown(detail, world([strength, detail], [], { values: { strength: "0.5" } })), true)
})

test("advanced settings are out of sight until asked for, searched for or changed", () => {
  const rho = param("rho", { type: "decimal", default: "7", advanced: true, description: "For the Karras schedule." })
  assert.equal(isShown(rho, world([rho])), false)
  assert.equal(isShown(rho, { ...world([rho]), advanced: true }), true)
  assert.equal(isShown(rho, { ...world([rho]), search: "karras schedule" }), true)
  assert.equal(isShown(rho, { ...world([rho]), search: "karras freeu" }), false)
  assert.equal(isShown(rho, world([rho], [], { values: { rho: "5" } })), true)
})

test("untouched advanced settings, empty text and missing pictures are not sent", () => {
  const list = [
    param("note"),
    param("image", { type: "image", default: null }),
    param("flag", { type: "boolean", default: "false", advanced: true }),
  ]
  assert.deepEqual(requestOf(world(list)), {})
  assert.deepEqual(requestOf(world(list, [], { values: { flag: true } })), { flag: true })
})

test("numbers are compared as numbers and sent as numbers, but long seeds keep every digit", () => {
  const seed = param("seed", { type: "integer" })
  assert.equal(same(param("cfg", { type: "decimal" }), "7", "7.0"), true)
  assert.equal(wireValue(seed, "42"), 42)
  assert.equal(wireValue(seed, "9223372036854775807"), "9223372036854775807")
})
