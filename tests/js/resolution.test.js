import assert from "node:assert/strict"
import { test } from "node:test"
import { roundTo, sideOf, sizeFor } from "../../static/js/state/resolution.js"

test("sizes follow the table of the wire", () => {
  assert.deepEqual(sizeFor("16:9", 1024), { width: 1344, height: 768 })
  assert.deepEqual(sizeFor("1:1", 512), { width: 512, height: 512 })
  assert.deepEqual(sizeFor("3:4", 512), { width: 448, height: 576 })
  assert.equal(sizeFor("Custom", 512), null)
})

test("ties are rounded to the even multiple", () => {
  assert.equal(roundTo(24, 16), 32)
  assert.equal(roundTo(40, 16), 32)
  assert.equal(roundTo(41, 16), 48)
})

test("the side of a model is that of a square with as many pixels", () => {
  assert.equal(sideOf({ standard_width: 1024, standard_height: 1024 }), 1024)
  assert.equal(sideOf({ standard_width: 0, standard_height: 0 }), null)
  assert.equal(sideOf(null), null)
})
