/** One of several values. A value of dashes only is a line between others. */

import { element, html } from "../lib/html.js"

export const layout = "stack"

export function make(param, change) {
  const values = param.values ?? []
  const option = (value, index) =>
    /^-+$/.test(value) ? html`<hr>` : html`<option value="${value}">${param.value_names?.[index] ?? value}</option>`
  const select = element(html`<select class="input">${values.map(option)}</select>`)
  select.addEventListener("change", () => change(select.value))
  return {
    element: select,
    control: select,
    show(value) {
      select.value = value
    },
  }
}
