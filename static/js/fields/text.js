/** Free text: one line, or an area for long text. */

import { element, html } from "../lib/html.js"

export const layout = "stack"

export function make(param, change) {
  const isLong = param.view_type === "big" || param.view_type === "prompt"
  const hint = param.examples?.[0] ?? ""
  const input = element(
    isLong
      ? html`<textarea class="input" rows="3" placeholder="${hint}"></textarea>`
      : html`<input class="input" type="text" autocomplete="off" spellcheck="false" placeholder="${hint}">`,
  )
  input.addEventListener("input", () => change(input.value))
  return {
    element: input,
    control: input,
    show(value) {
      if (input.value !== value) input.value = value
    },
  }
}
