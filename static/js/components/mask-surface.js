/**
 * The picture with the mask over it, to be drawn on with a mouse, pen, fingers or the arrow keys. Fires "change" after
 * every step. Two fingers, the wheel and the middle button move the view.
 */

import { sizeOf } from "../lib/files.js"
import { html, render } from "../lib/html.js"
import { Drawing, pointOf, stepped } from "../lib/mask-drawing.js"
import { MaskLayer } from "../lib/mask-layer.js"
import { fitting, onPicture, onScreen, pinched, within } from "../lib/zoom.js"

const PEN_ERASER = 32
const MIDDLE = 4
const WHEEL = 0.0015
const ROOM = 24
const HELP = "Mask of the picture. Arrow keys move the brush, Space puts it down and lifts it."

class MaskSurface extends HTMLElement {
  #drawing
  #layer
  #size
  #scale = 1
  #pointers = new Map()
  #cursor
  #isPenDown = false

  brush = { size: 64, erase: false }

  connectedCallback() {
    render(
      this,
      html`<div class="mask-paper">
        <img alt="" draggable="false"><canvas tabindex="0" role="application" aria-label="${HELP}"></canvas>
        <span class="mask-brush" hidden></span>
      </div>`,
    )
    this.addEventListener("pointerdown", (event) => this.#down(event))
    this.addEventListener("pointermove", (event) => this.#move(event))
    this.addEventListener("pointerup", (event) => this.#up(event))
    this.addEventListener("pointercancel", (event) => this.#up(event, true))
    this.addEventListener("pointerleave", () => this.#showBrush(null))
    this.addEventListener("wheel", (event) => this.#wheel(event), { passive: false })
    this.addEventListener("keydown", (event) => this.#key(event))
  }

  /** Show the picture, with the mask to begin with, if there is one. */
  async open(picture, mask) {
    this.#pointers.clear()
    this.#drawing = null
    this.#size = await sizeOf(picture)
    this.querySelector("img").src = picture
    this.#layer = new MaskLayer(this.#canvas, this.#size)
    if (mask) await this.#layer.load(mask)
    this.#cursor = { x: this.#size.width / 2, y: this.#size.height / 2 }
    this.#isPenDown = false
    this.#drawing = new Drawing()
    this.fit()
    this.#repaint()
    this.#canvas.focus()
  }

  get drawing() {
    return this.#drawing
  }

  get scale() {
    return this.#scale
  }

  /** Do one of "undo", "redo", "fill", "clear" and "invert". */
  act(name) {
    this.#lift()
    if (this.#drawing.isDrawing) return
    this.#drawing[name]()
    this.#repaint()
  }

  /** See the whole picture. */
  fit() {
    const room = { width: this.clientWidth - ROOM, height: this.clientHeight - ROOM }
    this.#show(fitting(this.#size, room))
  }

  /** Change the scale; the place `at` (the middle, if none is given) stays where it is. */
  zoom(factor, at = this.#middle()) {
    const place = onPicture(at, this.#rect(), this.#size)
    this.#show(within(this.#scale * factor))
    const now = onScreen(place, this.#rect(), this.#size)
    this.scrollBy({ left: now.clientX - at.clientX, top: now.clientY - at.clientY, behavior: "instant" })
  }

  /** The mask as a data: URL; "" when nothing is marked. */
  url() {
    this.#lift()
    this.#drawing.finish()
    return this.#layer.url()
  }

  /** The brush was changed: show it as it is now. */
  refresh() {
    if (!this.querySelector(".mask-brush").hidden) this.#showBrush(this.#cursor)
  }

  get #canvas() {
    return this.querySelector("canvas")
  }

  #rect() {
    return this.#canvas.getBoundingClientRect()
  }

  #middle() {
    const { left, top, width, height } = this.getBoundingClientRect()
    return { clientX: left + width / 2, clientY: top + height / 2 }
  }

  #show(scale) {
    this.#scale = scale
    const paper = this.querySelector(".mask-paper")
    paper.style.width = `${this.#size.width * scale}px`
    paper.style.height = `${this.#size.height * scale}px`
    this.refresh()
    this.#changed()
  }

  #repaint() {
    this.#layer.paint(this.#drawing.steps)
    this.#changed()
  }

  #down(event) {
    const isBeside = event.target === this
    if (!this.#drawing || event.button === 2 || (isBeside && event.pointerType === "mouse" && event.button === 0)) return
    if (!this.#isMeant(event)) return
    event.preventDefault()
    this.#canvas.focus()
    this.setPointerCapture(event.pointerId)
    this.#pointers.set(event.pointerId, event)
    this.#lift()
    if (this.#pointers.size > 1) this.#forget()
    else if (!isBeside && !(event.buttons & MIDDLE)) this.#begin(event)
  }

  /** A hand that rests on the screen while a pen draws means nothing. */
  #isMeant({ pointerType }) {
    const has = (type) => [...this.#pointers.values()].some((pointer) => pointer.pointerType === type)
    if (pointerType === "touch") return !has("pen")
    if (pointerType === "pen" && has("touch")) {
      this.#forget()
      this.#pointers.clear()
    }
    return true
  }

  #begin(event) {
    const erase = this.brush.erase || Boolean(event.buttons & PEN_ERASER)
    this.#layer.stroke(this.#drawing.begin(this.#point(event), erase))
  }

  /** The first finger had begun to draw before the second one came. */
  #forget() {
    if (!this.#drawing.isDrawing) return
    this.#drawing.drop()
    this.#repaint()
  }

  #move(event) {
    if (!this.#drawing) return
    const before = this.#pointers.get(event.pointerId)
    if (this.#isPenDown && !before) return // the arrow keys lead the brush now
    if (event.pointerType !== "touch" || before) this.#showBrush(onPicture(event, this.#rect(), this.#size))
    if (!before) return
    const others = [...this.#pointers.values()].filter(({ pointerId }) => pointerId !== event.pointerId)
    this.#pointers.set(event.pointerId, event)
    if (this.#drawing.isDrawing) this.#draw(event)
    else if (others.length) this.#pinch(pinched([before, others[0]], [event, others[0]]))
    else if (event.buttons & MIDDLE)
      this.scrollBy({ left: before.clientX - event.clientX, top: before.clientY - event.clientY, behavior: "instant" })
  }

  #draw(event) {
    const events = event.getCoalescedEvents?.() ?? []
    for (const each of events.length ? events : [event]) this.#extend(this.#point(each))
  }

  #extend(point) {
    const piece = this.#drawing.extend(point)
    if (piece) this.#layer.stroke(piece)
  }

  #pinch({ factor, middle, moved }) {
    this.scrollBy({ left: -moved.x, top: -moved.y, behavior: "instant" })
    this.zoom(factor, middle)
  }

  #up(event, isCancelled = false) {
    if (!this.#pointers.delete(event.pointerId)) return
    if (isCancelled) this.#forget()
    else if (this.#drawing.isDrawing) {
      this.#drawing.finish()
      this.#changed()
    }
    if (event.pointerType === "touch") this.#showBrush(null)
  }

  #wheel(event) {
    if (!this.#drawing) return
    event.preventDefault()
    this.zoom(Math.exp(-event.deltaY * WHEEL), event)
  }

  #key(event) {
    if (!this.#drawing || event.ctrlKey || event.metaKey || event.altKey) return
    const distance = event.shiftKey ? 1 : Math.max(1, this.brush.size / 4)
    const next = stepped(this.#cursor, event.key, distance, this.#size)
    if (next) this.#showBrush(next)
    else if (event.key === " ") this.#toggle()
    else return
    event.preventDefault()
    if (next && this.#isPenDown) this.#extend(pointOf(next, this.brush.size))
  }

  #toggle() {
    if (this.#isPenDown) return this.#lift()
    this.#isPenDown = true
    this.#showBrush(this.#cursor)
    this.#layer.stroke(this.#drawing.begin(pointOf(this.#cursor, this.brush.size), this.brush.erase))
  }

  /** The arrow keys no longer draw. */
  #lift() {
    if (!this.#isPenDown) return
    this.#isPenDown = false
    this.#drawing.finish()
    this.#changed()
  }

  #point(event) {
    const pressure = event.pointerType === "pen" && event.pressure > 0 ? event.pressure : 1
    return pointOf(onPicture(event, this.#rect(), this.#size), this.brush.size, pressure)
  }

  #showBrush(place) {
    const circle = this.querySelector(".mask-brush")
    circle.hidden = place === null
    if (place === null) return
    this.#cursor = place
    circle.style.left = `${place.x * this.#scale}px`
    circle.style.top = `${place.y * this.#scale}px`
    circle.style.width = `${this.brush.size * this.#scale}px`
  }

  #changed() {
    this.dispatchEvent(new Event("change"))
  }
}
customElements.define("mask-surface", MaskSurface)
