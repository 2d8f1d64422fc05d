/** A dialog that asks the server things: its frame, and where it says how that went. */

import { iconButton } from "./controls.js"
import { html } from "./html.js"

/** The frame of a panel, to be filled. */
export function panel(title, body) {
  return html`<dialog class="dialog panel" aria-label="${title}">
    <div class="dialog-head">
      <h2>${title}</h2>
      ${iconButton("close", "Close", { act: "close", look: "button--quiet" })}
    </div>
    <p class="panel-said" role="status"></p>
    <div class="panel-body">${body}</div>
  </dialog>`
}

/** Do something and say in the panel around `inside` how it went. Resolves to the answer, or null when it failed. */
export async function attempt(inside, act, success = "") {
  const said = inside.closest("dialog").querySelector(".panel-said")
  try {
    const answer = await act()
    said.textContent = success
    said.classList.remove("is-error")
    return answer ?? {}
  } catch (error) {
    said.textContent = error.message
    said.classList.add("is-error")
    return null
  }
}

/** The values of a form by name; several of one name as a list when the name ends in []. */
export function values(form) {
  const data = new FormData(form)
  return Object.fromEntries(
    [...form.elements]
      .filter(({ name }) => name)
      .map(({ name }) => [name.replace("[]", ""), name.endsWith("[]") ? data.getAll(name) : (data.get(name) ?? "")]),
  )
}
