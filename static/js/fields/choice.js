/** One of several values. A value of dashes only is a line between others. */

import { element, html } from "../lib/html.js"

export const layout = "stack"

export function make(param, change) {
  const values = param.values ?? []
  const option = (value, index) =>
    /^-+$/.test(value) ? html`<hr>` : html`<option value="${value}">${param.value_names?.[index] ?? value}</option>`
  const options = values.length ? values.map(option) : html`<option value="">None on this server</option>`
  const select = element(html`<select class="input">${options}</select>`)
  select.disabled = values.length === 0
  select.addEventListener("change", () => change(select.value))
  return {
    element: select,
    control: select,
    show(value) {
      select.value = value
    },
  }
}
