/** The ways to the server, to the people on it and to one's own account: those that are open to this user. */

import "./account-dialog.js"
import "./people-dialog.js"
import { serverParts } from "./server-dialog.js"
import { html, render } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { may, page } from "../state/app.js"

const WAYS = [
  { act: "server", name: "Server", drawing: "server" },
  { act: "people", name: "People", drawing: "people" },
  { act: "account", name: "Account", drawing: "person" },
]

function way({ act, name, drawing }) {
  return html`<button class="button button--quiet" type="button" data-act="${act}" aria-label="${name}" title="${name}">
    ${icon(drawing)}<span>${name}</span></button>`
}

class AccountMenu extends HTMLElement {
  #stop

  connectedCallback() {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    render(
      this,
      html`${WAYS.map(way)}
        <account-dialog></account-dialog>
        <people-dialog></people-dialog>
        <server-dialog></server-dialog>`,
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
    this.querySelector("[data-act=server]").hidden = serverParts().length === 0
  }
}
customElements.define("account-menu", AccountMenu)
