/**
 * What was drawn on a mask, as steps that can be undone. Knows no canvas: whoever shows it paints `steps` in order.
 * Points are in pixels of the picture, {x, y, size}: the size of the brush there, which a pen's pressure changes.
 *
 * @typedef {{x: number, y: number, size: number}} Point
 * @typedef {{kind: "stroke", erase: boolean, points: Point[]} | {kind: "base"|"fill"|"clear"|"invert"}} Step
 */

/** Steps after which nothing of what was before can be seen. */
const COVERING = new Set(["base", "fill", "clear"])
const LEAST_MOVE = 0.5

/** The brush at one place: a pen presses between 0 and 1, everything else draws with the full size. */
export function pointOf({ x, y }, size, pressure = 1) {
  return { x, y, size: Math.max(1, size * pressure) }
}

/** Where `key` leads a cursor at `point`; null for other keys. It stays on a picture of `size`. */
export function stepped(point, key, distance, { width, height }) {
  const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key]
  if (!move) return null
  const within = (value, most) => Math.min(Math.max(value, 0), most)
  return { x: within(point.x + move[0] * distance, width), y: within(point.y + move[1] * distance, height) }
}

export class Drawing {
  /** @type {Step[]} */
  #done = [{ kind: "base" }]
  #undone = []
  #stroke = null

  /** Put the brush down. */
  begin(point, erase) {
    this.#stroke = { kind: "stroke", erase, points: [point] }
    return this.#stroke
  }

  /** Draw on to `point`; answers the stroke with only what is new, or null when the brush has hardly moved. */
  extend(point) {
    const last = this.#stroke?.points.at(-1)
    if (!last || Math.hypot(point.x - last.x, point.y - last.y) < LEAST_MOVE) return null
    this.#stroke.points.push(point)
    return { ...this.#stroke, points: [last, point] }
  }

  /** Lift the brush: the stroke is one step. */
  finish() {
    if (this.#stroke) this.#add(this.#stroke)
    this.#stroke = null
  }

  /** Lift it as if it had never been put down, for instance since two fingers zoom. */
  drop() {
    this.#stroke = null
  }

  get isDrawing() {
    return this.#stroke !== null
  }

  fill() {
    this.#add({ kind: "fill" })
  }

  clear() {
    this.#add({ kind: "clear" })
  }

  invert() {
    this.#add({ kind: "invert" })
  }

  undo() {
    if (this.canUndo) this.#undone.push(this.#done.pop())
  }

  redo() {
    if (this.canRedo) this.#done.push(this.#undone.pop())
  }

  get canUndo() {
    return this.#done.length > 1
  }

  get canRedo() {
    return this.#undone.length > 0
  }

  /** What has to be painted, from the last step that covers everything. */
  get steps() {
    return this.#done.slice(this.#done.findLastIndex(({ kind }) => COVERING.has(kind)))
  }

  #add(step) {
    this.#done.push(step)
    this.#undone = []
  }
}
