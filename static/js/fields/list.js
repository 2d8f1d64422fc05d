/** Several texts, separated by commas; known ones are suggested. */

import { element, html } from "../lib/html.js"

export const layout = "stack"

export function make(param, change) {
  const suggestions = `suggest-${param.id}`
  const whole = element(html`<div>
    <input class="input" type="text" list="${suggestions}" autocomplete="off" placeholder="Separate with commas">
    <datalist id="${suggestions}">${(param.values ?? []).map((value) => html`<option value="${value}">`)}</datalist>
  </div>`)
  const input = whole.querySelector("input")
  input.addEventListener("change", () =>
    change(
      input.value
        .split(",")
        .map((part) => part.trim())
        .filter(Boolean),
    ),
  )
  return {
    element: whole,
    control: input,
    show(value) {
      if (document.activeElement !== input) input.value = value.join(", ")
    },
  }
}
