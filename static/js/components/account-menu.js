/** Who one is here, and the ways to what concerns accounts. */

import "./account-dialog.js"
import "./people-dialog.js"
import { html, render } from "../lib/html.js"
import { may, page } from "../state/app.js"

class AccountMenu extends HTMLElement {
  #stop

  connectedCallback() {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    render(
      this,
      html`<button class="button button--quiet" type="button" data-act="people" hidden>People</button>
        <button class="button button--quiet" type="button" data-act="account">Account</button>
        <account-dialog></account-dialog>
        <people-dialog></people-dialog>`,
    )
    this.addEventListener("click", ({ target }) => {
      const act = target.closest("account-menu > button")?.dataset.act
      if (act) this.querySelector(`${act}-dialog`).open()
    })
    page.addEventListener("change", () => this.#show(), { signal })
    this.#show()
  }

  disconnectedCallback() {
    this.#stop.abort()
  }

  #show() {
    this.querySelector("[data-act=people]").hidden = !may("manage_users") && !may("configure_roles")
  }
}
customElements.define("account-menu", AccountMenu)
