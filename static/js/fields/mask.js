/** A mask: drawn on the init image, or a picture from this computer. */

import { attribute } from "../lib/dom.js"
import { element, html } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { params } from "../state/app.js"
import { make as makePicture } from "./picture.js"

export const layout = "stack"

export function make(param, change) {
  const file = makePicture(param, change)
  const whole = element(html`<div class="mask-field">
    <button class="button" type="button" aria-haspopup="dialog">${icon("brush")}<span></span></button>
  </div>`)
  const draw = whole.querySelector("button")
  draw.addEventListener("click", () => document.querySelector("mask-editor").open())
  whole.append(file.element)
  return {
    element: whole,
    control: file.control,
    show(value) {
      const hasPicture = Boolean(params.value("initimage"))
      attribute(draw, "disabled", !hasPicture)
      draw.querySelector("span").textContent = hasPicture
        ? `${value ? "Change" : "Draw"} the mask`
        : "Choose an init image to draw on"
      file.show(value)
    },
  }
}
