/** A number: a slider over the usual range with a box for any allowed value, or only the box. */

import { element, html } from "../lib/html.js"

export const layout = "number"

const SLIDERS = new Set(["slider", "pot_slider"])

/** What the box may hold; null for no limit. The server refuses what is outside, so the page never sends it. */
export function limits(param) {
  return param.min === 0 && param.max === 0 ? null : { min: param.min, max: param.max }
}

/** `text` as the nearest allowed number, or null when it is no number. */
export function allowed(param, text) {
  const number = Number(text)
  if (String(text).trim() === "" || !Number.isFinite(number)) return null
  const whole = param.type === "integer" ? Math.round(number) : number
  const range = limits(param)
  return String(range ? Math.min(range.max, Math.max(range.min, whole)) : whole)
}

/** Ends of the slider: the usual range, or the allowed one where no usual one is named. */
export function sliderRange(param) {
  if (param.view_min !== 0 || param.view_max !== 0) return { min: param.view_min, max: param.view_max }
  return { min: param.min, max: param.max }
}

export function make(param, change) {
  const keys = param.type === "integer" ? "numeric" : "decimal"
  const box = element(
    html`<input class="input input--number" type="number" inputmode="${keys}" step="${param.step || "any"}">`,
  )
  const range = limits(param)
  if (range) Object.assign(box, range)
  const slider = SLIDERS.has(param.view_type) ? makeSlider(param, change) : null
  box.addEventListener("change", () => {
    const value = allowed(param, box.value)
    if (value !== null) change(value)
    box.value = value ?? box.dataset.shown
  })
  return {
    element: slider ? wrapped(box, slider) : box,
    control: box,
    also: slider,
    show(value) {
      box.dataset.shown = value
      if (document.activeElement !== box || allowed(param, box.value) !== value) box.value = value
      if (slider) place(slider, value)
    },
  }
}

function wrapped(box, slider) {
  const both = element(html`<div class="number"></div>`)
  both.append(slider, box)
  return both
}

function makeSlider(param, change) {
  const slider = element(html`<input class="slider" type="range">`)
  Object.assign(slider, sliderRange(param), { step: param.step || 1 })
  slider.addEventListener("input", () => change(slider.value))
  return slider
}

/** Move the thumb; the filled part of the track is a length that CSS reads. */
function place(slider, value) {
  slider.value = value
  const share = (slider.value - slider.min) / (slider.max - slider.min || 1)
  slider.style.setProperty("--fill", `${share * 100}%`)
}
