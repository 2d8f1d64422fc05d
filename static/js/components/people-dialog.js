/** Users and roles, for those who manage them. */

import "./role-admin.js"
import "./user-admin.js"
import { html, render } from "../lib/html.js"
import { panel } from "../lib/panel.js"
import { may } from "../state/app.js"

const PARTS = [
  { id: "user-admin", name: "Users", needs: "manage_users" },
  { id: "role-admin", name: "Roles", needs: "configure_roles" },
]

class PeopleDialog extends HTMLElement {
  connectedCallback() {
    render(
      this,
      panel("People", html`<div class="panel-tabs" role="group" aria-label="Part"></div>
        <user-admin hidden></user-admin><role-admin hidden></role-admin>`),
    )
    this.addEventListener("click", ({ target }) => {
      const button = target.closest("button")
      if (button?.dataset.act === "close") this.querySelector("dialog").close()
      if (button?.dataset.part) this.#choose(button.dataset.part)
    })
  }

  open() {
    const parts = PARTS.filter(({ needs }) => may(needs))
    render(
      this.querySelector(".panel-tabs"),
      html`${parts.map(({ id, name }) => html`<button class="button" type="button" data-part="${id}">${name}</button>`)}`,
    )
    this.querySelector("dialog").showModal()
    this.#choose(parts[0].id)
  }

  #choose(id) {
    this.querySelector(".panel-said").textContent = ""
    for (const button of this.querySelectorAll("[data-part]"))
      button.setAttribute("aria-pressed", String(button.dataset.part === id))
    for (const part of PARTS) this.querySelector(part.id).hidden = part.id !== id
    this.querySelector(id).load()
  }
}
customElements.define("people-dialog", PeopleDialog)
