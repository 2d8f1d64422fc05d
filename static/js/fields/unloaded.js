/** Stands where the field of a parameter could not be loaded, and says so. */

import { element, html } from "../lib/html.js"

export const layout = "stack"

export function make(param) {
  const words = element(html`<p class="field-broken" role="alert">
    The field for ${param.name} (${param.type}) could not be loaded. Reload the page; if it stays so, the server's
    interface files are incomplete.
  </p>`)
  return { element: words, control: words, show() {} }
}
