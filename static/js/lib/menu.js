/**
 * A button and what it opens: a few further buttons. Arrow keys move inside; Escape, a choice or a look elsewhere
 * closes it.
 */

import { attribute } from "./dom.js"
import { html } from "./html.js"
import { icon } from "./icons.js"

const STEPS = { ArrowDown: 1, ArrowUp: -1 }

/** @param {{act: string, drawing: string, name: string}[]} entries */
export function menu(name, entries) {
  return html`<div class="menu">
    <button class="button button--icon" type="button" data-act="more" aria-haspopup="menu" aria-expanded="false" aria-label="${name}" title="${name}">
      ${icon("more")}
    </button>
    <div class="menu-list" role="menu" aria-label="${name}" hidden>
      ${entries.map(
        (entry) => html`<button class="menu-entry" type="button" role="menuitem" tabindex="-1" data-act="${entry.act}">
          ${icon(entry.drawing)}${entry.name}
        </button>`,
      )}
    </div>
  </div>`
}

/** Make the menus inside `container` work, also those that are drawn later. */
export function openMenus(container, signal) {
  const isOpen = (each) => !each.querySelector(".menu-list").hidden
  const show = (each, open) => {
    each.querySelector(".menu-list").hidden = !open
    attribute(each.querySelector("[aria-expanded]"), "aria-expanded", String(open))
    if (open) each.querySelector(".menu-entry").focus()
  }
  const on = (type, act) =>
    container.addEventListener(
      type,
      (event) => {
        const each = event.target.closest(".menu")
        if (each) act(each, event)
      },
      { signal },
    )
  on("click", (each, { target }) => {
    if (target.closest("[aria-expanded]")) show(each, !isOpen(each))
    else if (target.closest(".menu-entry")) show(each, false)
  })
  on("keydown", (each, event) => isOpen(each) && key(each, event, show))
  on("focusout", (each, { relatedTarget }) => isOpen(each) && !each.contains(relatedTarget) && show(each, false))
}

function key(each, event, show) {
  const entries = [...each.querySelectorAll(".menu-entry")]
  const at = entries.indexOf(event.target)
  const places = { Home: 0, End: entries.length - 1 }
  const place = places[event.key] ?? (STEPS[event.key] && (at + STEPS[event.key] + entries.length) % entries.length)
  if (event.key === "Escape") {
    show(each, false)
    each.querySelector("[aria-expanded]").focus()
  } else if (place !== undefined) entries[place].focus()
  else return
  event.preventDefault()
  event.stopPropagation()
}
