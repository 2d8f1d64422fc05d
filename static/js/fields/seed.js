/** A seed: empty means a new one each time (-1 on the wire). One button forgets it, one takes the shown picture's. */

import { iconButton } from "../lib/controls.js"
import { attribute } from "../lib/dom.js"
import { element, html } from "../lib/html.js"
import { selection } from "../state/app.js"
import { readMetadata } from "../state/metadata.js"

export const layout = "stack"

const RANDOM = "-1"

/** The whole number in `text`, within the limits, as text, so that long seeds keep every digit. */
export function seedOf(param, text) {
  const trimmed = text.trim()
  if (!/^\d{1,19}$/.test(trimmed)) return RANDOM
  return Number(trimmed) > param.max ? RANDOM : trimmed
}

export function make(param, change) {
  const whole = element(html`<div class="seed">
    <input class="input" type="text" inputmode="numeric" autocomplete="off" placeholder="Random">
    ${iconButton("random", "Use a random seed", { act: "random" })}
    ${iconButton("reuse", "Use the seed of the shown picture", { act: "reuse" })}
  </div>`)
  const input = whole.querySelector("input")
  const again = whole.querySelector("[data-act=reuse]")
  input.addEventListener("change", () => {
    const seed = seedOf(param, input.value)
    change(seed)
    if (seed === RANDOM) input.value = ""
  })
  whole.addEventListener("click", (event) => {
    const act = event.target.closest("button")?.dataset.act
    if (act === "random") change(RANDOM)
    if (act === "reuse") change(String(shownSeed(param)))
  })
  const offer = () => attribute(again, "disabled", shownSeed(param) === undefined)
  selection.addEventListener("change", offer)
  offer()
  return {
    element: whole,
    control: input,
    show(value) {
      if (document.activeElement !== input || seedOf(param, input.value) !== value)
        input.value = value === RANDOM ? "" : value
    },
  }
}

function shownSeed(param) {
  return readMetadata(selection.current?.metadata)?.params[param.id]
}
