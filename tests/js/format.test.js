import assert from "node:assert/strict"
import { test } from "node:test"
import { counted, duration, modelName, percent } from "../../static/js/lib/format.js"
import { destination } from "../../static/js/lib/roving.js"
import { Memory } from "../../static/js/lib/storage.js"

test("numbers read as people say them", () => {
  assert.equal(counted(1, "picture"), "1 picture")
  assert.equal(counted(0, "picture"), "0 pictures")
  assert.equal(percent(0.426), "43%")
  assert.equal(percent(1.2), "100%")
})

test("durations name the two largest units", () => {
  assert.deepEqual([0.2, 9.4, 60, 65, 3600, 7380].map(duration), [
    "1 s",
    "9 s",
    "1 min",
    "1 min 5 s",
    "1 h 0 min",
    "2 h 3 min",
  ])
})

test("a model is called by its file, without the ending", () => {
  assert.equal(modelName("official/sd_xl_base_1.0.safetensors"), "sd_xl_base_1.0")
})

test("arrow keys move in rows and stop at the edges", () => {
  assert.equal(destination("ArrowRight", 0, 5, 3), 1)
  assert.equal(destination("ArrowDown", 1, 5, 3), 4)
  assert.equal(destination("ArrowDown", 2, 5, 3), 2)
  assert.equal(destination("ArrowLeft", 0, 5, 3), 0)
  assert.equal(destination("End", 0, 5, 3), 4)
  assert.equal(destination("Home", 4, 5, 3), 0)
  assert.equal(destination("a", 4, 5, 3), null)
})

test("a browser that refuses storage only forgets", () => {
  const refusing = new Memory({
    getItem() {
      throw new Error("denied")
    },
    setItem() {
      throw new Error("full")
    },
    removeItem() {
      throw new Error("denied")
    },
  })
  refusing.write("theme", "dark")
  refusing.forget("theme")
  assert.equal(refusing.read("theme", "system"), "system")
  assert.equal(new Memory(null).read("theme", "system"), "system")
})
