/** Controls that occur in many components, as markup. */

import { html } from "./html.js"
import { icon } from "./icons.js"

/**
 * A button that shows a drawing only; `name` is what it is called for those who do not see it.
 * @param {string} drawing  one of the icons
 * @param {{act: string, title?: string, look?: string}} more  `look`: further classes
 */
export function iconButton(drawing, name, { act, title = name, look = "" }) {
  const classes = `button button--icon ${look}`.trim()
  return html`<button class="${classes}" type="button" data-act="${act}" aria-label="${name}" title="${title}">
    ${icon(drawing)}
  </button>`
}

/** A field to search in what is shown. */
export function searchBox(name, hint = name) {
  return html`<div class="search">
    <input class="input" type="search" placeholder="${hint}" aria-label="${name}">${icon("search")}
  </div>`
}
