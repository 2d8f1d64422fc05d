import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"
import { moved, without } from "../../static/js/lib/lists.js"
import { Drawing, pointOf, stepped } from "../../static/js/lib/mask-drawing.js"
import { blackAndWhite, layered } from "../../static/js/lib/mask-pixels.js"
import { fitting, onPicture, onScreen, pinched, within } from "../../static/js/lib/zoom.js"

const SIZE = { width: 400, height: 200 }
const finger = (clientX, clientY) => ({ clientX, clientY })

let drawing

beforeEach(() => {
  drawing = new Drawing()
})

function line(...points) {
  const [first, ...rest] = points.map(([x, y]) => pointOf({ x, y }, 10))
  drawing.begin(first, false)
  const pieces = rest.map((point) => drawing.extend(point))
  drawing.finish()
  return pieces
}

const kinds = () => drawing.steps.map(({ kind }) => kind)

test("a line is one step, and each piece begins where the last one ended", () => {
  const [one, other] = line([0, 0], [10, 0], [10, 10])
  assert.deepEqual(one.points.map(({ x, y }) => [x, y]), [[0, 0], [10, 0]])
  assert.deepEqual(other.points.map(({ x, y }) => [x, y]), [[10, 0], [10, 10]])
  assert.deepEqual(kinds(), ["base", "stroke"])
  assert.equal(drawing.steps[1].points.length, 3)
})

test("a brush that hardly moves draws nothing new", () => {
  assert.deepEqual(line([5, 5], [5.2, 5.1]), [null])
})

test("steps go back and come again until something else is drawn", () => {
  assert.equal(drawing.canUndo, false)
  drawing.undo()
  line([0, 0], [9, 9])
  drawing.invert()
  drawing.undo()
  assert.deepEqual(kinds(), ["base", "stroke"])
  drawing.redo()
  assert.deepEqual(kinds(), ["base", "stroke", "invert"])
  drawing.undo()
  drawing.undo()
  assert.deepEqual([drawing.canUndo, drawing.canRedo, kinds()], [false, true, ["base"]])
  line([0, 0], [9, 9])
  assert.equal(drawing.canRedo, false)
})

test("only what can still be seen is painted, and undo brings back the rest", () => {
  line([0, 0], [9, 9])
  drawing.fill()
  drawing.invert()
  assert.deepEqual(kinds(), ["fill", "invert"])
  drawing.clear()
  assert.deepEqual(kinds(), ["clear"])
  for (const _step of [1, 2, 3]) drawing.undo()
  assert.deepEqual(kinds(), ["base", "stroke"])
})

test("a stroke that was dropped leaves no step", () => {
  drawing.begin(pointOf({ x: 1, y: 1 }, 8), true)
  assert.equal(drawing.isDrawing, true)
  drawing.drop()
  drawing.finish()
  assert.deepEqual([drawing.isDrawing, kinds()], [false, ["base"]])
})

test("a pen presses the brush wider, and it never vanishes", () => {
  assert.deepEqual(pointOf({ x: 3, y: 4 }, 20, 0.5), { x: 3, y: 4, size: 10 })
  assert.equal(pointOf({ x: 3, y: 4 }, 20, 0).size, 1)
})

test("arrow keys move within the picture, other keys do not move", () => {
  assert.deepEqual(stepped({ x: 10, y: 10 }, "ArrowUp", 4, SIZE), { x: 10, y: 6 })
  assert.deepEqual(stepped({ x: 399, y: 0 }, "ArrowRight", 8, SIZE), { x: 400, y: 0 })
  assert.equal(stepped({ x: 1, y: 1 }, "a", 8, SIZE), null)
})

test("a layer becomes black and white, without anything between", () => {
  const pixels = new Uint8ClampedArray([240, 30, 120, 255, 9, 9, 9, 128, 240, 30, 120, 127, 0, 0, 0, 0])
  assert.equal(blackAndWhite(pixels), 2)
  assert.deepEqual([...pixels], [255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255])
})

test("a mask becomes a layer by its red channel; what is clear stays clear", () => {
  const pixels = new Uint8ClampedArray([255, 0, 0, 255, 100, 255, 255, 255, 255, 255, 255, 0, 0, 255, 255, 255])
  layered(pixels)
  assert.deepEqual([3, 7, 11, 15].map((at) => pixels[at]), [255, 100, 0, 0])
})

test("a picture fits into the room, and is not blown up without end", () => {
  assert.equal(fitting(SIZE, { width: 200, height: 200 }), 0.5)
  assert.equal(fitting({ width: 10, height: 10 }, { width: 900, height: 900 }), 4)
  assert.deepEqual([within(100), within(0)], [16, 0.02])
})

test("places on the screen are places on the picture and back", () => {
  const rect = { left: 50, top: 20, width: 200, height: 100 }
  assert.deepEqual(onPicture(finger(150, 70), rect, SIZE), { x: 200, y: 100 })
  assert.deepEqual(onScreen({ x: 200, y: 100 }, rect, SIZE), finger(150, 70))
})

test("two fingers that part enlarge, and take the picture along", () => {
  const { factor, middle, moved: way } = pinched([finger(0, 0), finger(100, 0)], [finger(0, 0), finger(200, 20)])
  assert.ok(factor > 2 && factor < 2.02)
  assert.deepEqual([middle, way], [finger(100, 10), { x: 50, y: 10 }])
})

test("things in a list change places", () => {
  const list = ["a", "b", "c"]
  assert.deepEqual([moved(list, 2, 0), moved(list, 0, 9), moved(list, 1, -4)].map(String), ["c,a,b", "b,c,a", "b,a,c"])
  assert.deepEqual(without(list, 1), ["a", "c"])
  assert.deepEqual(list, ["a", "b", "c"])
})
