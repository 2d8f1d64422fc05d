/** A dialog that asks the server things: its frame, and where it says how that went. */

import { iconButton } from "./controls.js"
import { html } from "./html.js"

/** The frame of a panel, to be filled. `look`: further classes. */
export function panel(title, body, look = "") {
  return html`<dialog class="dialog panel ${look}" aria-label="${title}">
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
    tell(said, success)
    return answer ?? {}
  } catch (error) {
    tell(said, error.message, { isError: true })
    return null
  }
}

/** What is read again and again: says only that it failed, and takes that back when it works again. */
export async function refresh(inside, act) {
  const said = inside.closest("dialog").querySelector(".panel-said")
  try {
    await act()
    if (said.dataset.cause === "reading") tell(said, "")
  } catch (error) {
    tell(said, error.message, { isError: true, cause: "reading" })
  }
}

/** Put a sentence where a panel says how things went. `inside`: anything in the panel. */
export function say(inside, text) {
  tell(inside.closest("dialog").querySelector(".panel-said"), text)
}

function tell(said, text, { isError = false, cause = "" } = {}) {
  said.textContent = text
  said.dataset.cause = cause
  said.classList.toggle("is-error", isError)
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
