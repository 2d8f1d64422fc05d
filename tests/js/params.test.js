import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"
import { Params } from "../../static/js/state/params.js"
import { readMetadata } from "../../static/js/state/metadata.js"
import { DECLARED, freshMemory } from "./support/wire.js"

const MODELS = [
  {
    name: "starter",
    class: "Stable Diffusion v1",
    compat_class: "stable-diffusion-v1",
    standard_width: 512,
    standard_height: 512,
  },
  { name: "large", class: "SDXL", compat_class: "stable-diffusion-xl-v1", standard_width: 1024, standard_height: 1024 },
]

let memory
let params

beforeEach(() => {
  memory = freshMemory()
  params = declared()
})

function declared(models = MODELS) {
  const made = new Params(memory)
  made.declare(DECLARED)
  made.offer(["comfyui"])
  made.know(models)
  return made
}

test("the first model is preselected and its size is asked for", () => {
  assert.equal(params.model.name, "starter")
  assert.deepEqual(params.request(), {
    seed: -1,
    steps: 20,
    aspectratio: "1:1",
    images: 1,
    width: 512,
    height: 512,
    model: "starter",
  })
})

test("a larger model changes the size, a side length overrides it", () => {
  params.set("model", "large")
  params.set("aspectratio", "16:9")
  assert.deepEqual(params.size, { width: 1344, height: 768 })
  params.set("sidelength", "512")
  assert.deepEqual(params.size, { width: 672, height: 384 })
  assert.ok(params.features.has("sdxl"))
})

test("a free size is what the two sliders say", () => {
  params.set("aspectratio", "Custom")
  params.set("width", "640")
  const { width, height } = params.request()
  assert.deepEqual([width, height], [640, 512])
})

test("setting a value switches on its toggle and its group", () => {
  params.set("sampler", "heun")
  params.set("creativity", "0.3")
  assert.ok(params.isToggled("sampler") && params.isGroupOn("init"))
  params.reset("sampler")
  assert.equal(params.request().sampler, undefined)
})

test("choices outlive the page, pictures do not", () => {
  params.set("steps", "33")
  params.set("model", "large")
  params.set("initimage", "data:image/png;base64,AAAA")
  const again = declared()
  assert.deepEqual([again.value("steps"), again.model.name, again.value("initimage")], ["33", "large", ""])
})

test("a remembered model that is gone is replaced by the first", () => {
  params.set("model", "large")
  assert.equal(declared([MODELS[0]]).model.name, "starter")
})

test("reuse sets what made the picture and returns the rest to its default", () => {
  params.set("steps", "50")
  params.set("images", "4")
  params.set("creativity", "0.1")
  const text = `{
    "sui_image_params": {"prompt": "a red cat", "model": "large.safetensors", "seed": 1234567890123456789,
      "sampler": "heun", "aspectratio": "16:9", "width": 1344, "height": 768},
    "sui_extra_data": {"original_prompt": "a <random:red,blue> cat"}}`
  params.reuse(readMetadata(text))
  const { images, ...request } = params.request()
  assert.equal(images, 4)
  assert.deepEqual(request, {
    prompt: "a <random:red,blue> cat",
    seed: "1234567890123456789",
    steps: 20,
    aspectratio: "16:9",
    width: 1344,
    height: 768,
    sampler: "heun",
    model: "large",
  })
})

test("reuse keeps a size that no ratio of the model gives", () => {
  params.reuse(readMetadata(`{"sui_image_params": {"prompt": "x", "aspectratio": "1:1", "width": 640, "height": 512}}`))
  const { aspectratio, width, height } = params.request()
  assert.deepEqual([aspectratio, width, height], ["Custom", 640, 512])
})

test("reset all keeps the model and the prompt", () => {
  params.set("prompt", "a cat")
  params.set("steps", "50")
  params.resetAll()
  assert.deepEqual([params.value("prompt"), params.value("steps"), params.model.name], ["a cat", "20", "starter"])
})

test("a mask stays with its init image", () => {
  params.set("maskimage", "data:mask")
  params.set("initimage", "data:one")
  assert.equal(params.value("maskimage"), "data:mask")
  params.set("initimage", "data:one")
  assert.equal(params.value("maskimage"), "data:mask")
  params.set("initimage", "data:other")
  assert.equal(params.value("maskimage"), "")
  params.set("maskimage", "data:mask")
  params.reset("initimage")
  assert.equal(params.value("maskimage"), "")
})

test("prompt pictures are sent as a list, and not kept in the browser", () => {
  assert.ok(!("promptimages" in params.request()))
  params.set("promptimages", ["data:one", "data:two"])
  assert.deepEqual(params.request().promptimages, ["data:one", "data:two"])
  assert.equal(declared().value("promptimages").length, 0)
})

test("pictures that only the server has are not taken from metadata", () => {
  const text = JSON.stringify({ sui_image_params: { promptimages: ["inputs/cat.png"], initimage: "inputs/dog.png" } })
  params.reuse(readMetadata(text))
  assert.deepEqual([params.value("promptimages"), params.value("initimage")], [[], ""])
})
