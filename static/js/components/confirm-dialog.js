/** Asks before something that cannot be undone. */

import { html, render } from "../lib/html.js"

class ConfirmDialog extends HTMLElement {
  #answer = () => {}

  connectedCallback() {
    render(
      this,
      html`<dialog class="dialog dialog--small" aria-labelledby="confirm-text">
      <form method="dialog">
        <p id="confirm-text"></p>
        <div class="dialog-acts">
          <button class="button" value="no">Cancel</button>
          <button class="button button--danger" value="yes"></button>
        </div>
      </form>
    </dialog>`,
    )
    const dialog = this.querySelector("dialog")
    dialog.addEventListener("close", () => this.#answer(dialog.returnValue === "yes"))
  }

  /** Resolves to true when the person agrees. @returns {Promise<boolean>} */
  ask(text, verb) {
    const dialog = this.querySelector("dialog")
    this.querySelector("p").textContent = text
    this.querySelector("[value=yes]").textContent = verb
    dialog.returnValue = "no"
    dialog.showModal()
    return new Promise((resolve) => (this.#answer = resolve))
  }
}
customElements.define("confirm-dialog", ConfirmDialog)
