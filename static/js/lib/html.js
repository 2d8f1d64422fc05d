/**
 * Markup as a template literal. Every value is escaped unless it is markup itself, so text from the server, a file name
 * or a prompt can never become an element. Knows text; `render` and `element` are the only two that touch the page.
 */

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" }

/** Text that is already safe to hand to the parser. */
export class Markup {
  constructor(text) {
    this.text = text
  }
  toString() {
    return this.text
  }
}

/** `text` with the five characters that mean something in HTML replaced. */
export function escape(text) {
  return String(text).replace(/[&<>"']/g, (character) => ENTITIES[character])
}

function piece(value) {
  if (value instanceof Markup) return value.text
  if (Array.isArray(value)) return value.map(piece).join("")
  if (value === null || value === undefined || value === false || value === true) return ""
  return escape(value)
}

/** html`<b>${text}</b>`: arrays are joined; null, undefined and booleans print nothing. */
export function html(strings, ...values) {
  return new Markup(strings.reduce((text, part, index) => text + piece(values[index - 1]) + part))
}

/** Replace everything inside `target`. */
export function render(target, markup) {
  target.innerHTML = markup.text
}

/** The one element that `markup` describes. */
export function element(markup) {
  const template = document.createElement("template")
  template.innerHTML = markup.text.trim()
  return template.content.firstElementChild
}
