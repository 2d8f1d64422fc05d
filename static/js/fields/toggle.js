/** Yes or no. */

import { element, html } from "../lib/html.js"

export const layout = "row"

export function make(_param, change) {
  const input = element(html`<input class="switch" type="checkbox" role="switch">`)
  input.addEventListener("change", () => change(input.checked))
  return {
    element: input,
    control: input,
    show(value) {
      input.checked = value === true
    },
  }
}
