/** A drawing on a canvas. The canvas has the size of the picture; its CSS colour is the one to paint with. */

import { dataUrl } from "./files.js"
import { blackAndWhite, layered } from "./mask-pixels.js"

const WHOLE = { fill: "source-over", clear: "destination-out", invert: "source-out" }

export class MaskLayer {
  #canvas
  #context
  #base = null

  constructor(canvas, { width, height }) {
    Object.assign(canvas, { width, height })
    this.#canvas = canvas
    this.#context = canvas.getContext("2d", { willReadFrequently: true })
    this.#context.fillStyle = this.#context.strokeStyle = getComputedStyle(canvas).color
    this.#context.lineCap = this.#context.lineJoin = "round"
  }

  /** Take the mask at address `url` as what is there from the beginning. It is stretched to the size of the picture. */
  async load(url) {
    const image = new Image()
    image.src = url
    await image.decode()
    const { width, height } = this.#canvas
    const [base, context] = this.#another()
    context.drawImage(image, 0, 0, width, height)
    const pixels = context.getImageData(0, 0, width, height)
    layered(pixels.data)
    context.putImageData(pixels, 0, 0)
    context.globalCompositeOperation = "source-in"
    context.fillStyle = this.#context.fillStyle
    context.fillRect(0, 0, width, height)
    this.#base = base
  }

  /** @param {import("./mask-drawing.js").Step[]} steps */
  paint(steps) {
    for (const step of steps) {
      if (step.kind === "stroke") this.stroke(step)
      else if (step.kind === "base") this.#begin()
      else this.#cover(WHOLE[step.kind])
    }
  }

  /** A line whose width follows its points; a single point is a dot. */
  stroke({ erase, points }) {
    const context = this.#context
    context.globalCompositeOperation = erase ? "destination-out" : "source-over"
    points.forEach((point, index) => {
      const from = points[index - 1] ?? point
      if (index === 0 && points.length > 1) return
      context.lineWidth = point.size
      context.beginPath()
      context.moveTo(from.x, from.y)
      context.lineTo(point.x, point.y)
      context.stroke()
    })
  }

  /** The mask as a PNG of the picture's size, black and white; "" when nothing is marked. */
  async url() {
    const { width, height } = this.#canvas
    const pixels = this.#context.getImageData(0, 0, width, height)
    if (blackAndWhite(pixels.data) === 0) return ""
    const [mask, context] = this.#another()
    context.putImageData(pixels, 0, 0)
    const blob = await new Promise((resolve) => mask.toBlob(resolve, "image/png"))
    if (!blob) throw new Error("The mask is too large for this browser.")
    return dataUrl(blob)
  }

  #begin() {
    this.#cover("destination-out")
    this.#context.globalCompositeOperation = "source-over"
    if (this.#base) this.#context.drawImage(this.#base, 0, 0)
  }

  #cover(how) {
    this.#context.globalCompositeOperation = how
    this.#context.fillRect(0, 0, this.#canvas.width, this.#canvas.height)
  }

  #another() {
    const canvas = document.createElement("canvas")
    Object.assign(canvas, { width: this.#canvas.width, height: this.#canvas.height })
    return [canvas, canvas.getContext("2d", { willReadFrequently: true })]
  }
}
