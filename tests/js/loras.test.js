import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"
import { addLora, chosenLoras, otherLoras, removeLora, weighLora } from "../../static/js/state/loras.js"
import { readMetadata } from "../../static/js/state/metadata.js"
import { Params } from "../../static/js/state/params.js"
import { freshMemory, param } from "./support/wire.js"

const LIST = { type: "list", default: "", visible: false, advanced: true }

let params

beforeEach(() => {
  params = new Params(freshMemory())
  params.declare({
    list: [param("loras", { ...LIST, values: ["(None)", "ink", "grain"] }), param("loraweights", LIST)],
    groups: [],
  })
})

test("chosen ones are sent as two parallel lists", () => {
  addLora(params, "ink")
  addLora(params, "grain")
  weighLora(params, "ink", "0.8")
  assert.deepEqual(params.request(), { loras: ["ink", "grain"], loraweights: ["0.8", "1"] })
  assert.deepEqual(otherLoras(params), [])
})

test("none chosen, nothing sent", () => {
  addLora(params, "ink")
  removeLora(params, "ink")
  const { loras, loraweights } = params.request()
  assert.deepEqual([loras, loraweights], [undefined, undefined])
  assert.deepEqual(otherLoras(params), ["ink", "grain"])
})

test("those of a picture can be reused, a missing weight counts as one", () => {
  params.reuse(readMetadata(`{"sui_image_params": {"loras": ["ink", "grain"], "loraweights": ["0.5"]}}`))
  assert.deepEqual(chosenLoras(params), [
    { name: "ink", weight: "0.5" },
    { name: "grain", weight: "1" },
  ])
})
