/** The accounts of others: making, changing and deleting them. */

import { html, render } from "../lib/html.js"
import { attempt, values } from "../lib/panel.js"
import { accountName, sentPassword } from "../lib/password.js"
import { client, may } from "../state/app.js"

const BUILT_IN = ["guest", "user", "poweruser", "admin", "owner"]

class UserAdmin extends HTMLElement {
  #roles = BUILT_IN
  #chosen = null

  connectedCallback() {
    render(
      this,
      html`<div class="panel-columns"><ul class="panel-list"></ul><div class="panel-detail"></div></div>`,
    )
    this.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#submit(event.target)
    })
    this.addEventListener("click", (event) => this.#click(event.target.closest("button")))
  }

  async load() {
    await attempt(this, async () => {
      if (may("configure_roles")) this.#roles = Object.keys((await client.call("AdminListRoles")).roles)
      const { users } = await client.call("AdminListUsers")
      if (!users.includes(this.#chosen)) this.#chosen = null
      render(
        this.querySelector("ul"),
        html`${users.map((name) => html`<li><button class="button" type="button" data-user="${name}"
          aria-pressed="${String(name === this.#chosen)}">${name}</button></li>`)}
          <li><button class="button" type="button" data-act="new">New user …</button></li>`,
      )
      await this.#show()
    })
  }

  async #show() {
    const detail = this.querySelector(".panel-detail")
    if (this.#chosen === null) render(detail, newForm(this.#roles))
    else render(detail, userForms(await client.call("AdminGetUserInfo", { name: this.#chosen }), this.#roles))
  }

  async #submit(form) {
    const name = this.#chosen
    const { act } = form.dataset
    const given = values(form)
    const settings = { roles: given.roles }
    const done = await {
      add: () => this.#add(form, given),
      roles: () =>
        attempt(form, () => client.call("AdminChangeUserSettings", { name, settings }), `The roles of ${name} are saved.`),
      password: () => this.#setPassword(form, name, given.password),
    }[act]()
    if (done && act === "add") await this.load()
    if (done && act === "password") form.reset()
  }

  async #add(form, { name, password, role }) {
    const done = await attempt(
      form,
      async () => {
        checkLength(password)
        return client.call("AdminAddUser", { name, password: await sentPassword(name, password), role })
      },
      "The account is made.",
    )
    if (done) this.#chosen = accountName(name)
    return done
  }

  #setPassword(form, name, password) {
    return attempt(
      form,
      async () => {
        checkLength(password)
        return client.call("AdminSetUserPassword", { name, password: await sentPassword(name, password) })
      },
      `${name} has a new password, and all their logins have ended.`,
    )
  }

  async #click(button) {
    if (!button) return
    if (button.dataset.user !== undefined || button.dataset.act === "new") {
      this.#chosen = button.dataset.user ?? null
      await this.load()
    }
    const name = this.#chosen
    if (button.dataset.act === "interrupt")
      await attempt(button, () => client.call("AdminInterruptUser", { name }), `${name} makes nothing any more.`)
    if (button.dataset.act === "delete") await this.#delete(button, name)
  }

  async #delete(button, name) {
    const question = `Delete the account ${name}, with its presets and settings? Its pictures stay.`
    if (!(await document.querySelector("confirm-dialog").ask(question, "Delete"))) return
    if (await attempt(button, () => client.call("AdminDeleteUser", { name }), `${name} is deleted.`)) await this.load()
  }
}
customElements.define("user-admin", UserAdmin)

function checkLength(password) {
  if (password.length < 8) throw new Error("Password must be at least 8 characters long.")
}

function newForm(roles) {
  return html`<form data-act="add">
    <h3>New user</h3>
    <label>Name <input class="input" name="name" autocomplete="off" autocapitalize="none" required></label>
    <label>Password <input class="input" type="password" name="password" autocomplete="new-password" required></label>
    <label>Role <select class="input" name="role">
      ${roles.map((role) => html`<option${role === "user" ? SELECTED : ""}>${role}</option>`)}
    </select></label>
    <button class="button button--main">Make the account</button>
  </form>`
}

const SELECTED = html` selected`
const CHECKED = html` checked`

function userForms(info, roles) {
  const held = info.settings.roles.value.split(" || ").filter(Boolean)
  const known = [...new Set([...roles, ...held])]
  return html`<h3>${info.user_id}</h3>
    <p class="muted">${info.password_set_by_admin ? "Has not changed the password they were given." : ""}
      At most ${info.max_t2i} pictures at once.</p>
    <form data-act="roles">
      <fieldset><legend>Roles</legend>
        ${known.map((role) => html`<label class="panel-check"><input type="checkbox" name="roles[]" value="${role}"${
          held.includes(role) ? CHECKED : ""
        }> ${role}</label>`)}
      </fieldset>
      <button class="button">Save the roles</button>
    </form>
    <form data-act="password">
      <label>New password <input class="input" type="password" name="password" autocomplete="new-password" required></label>
      <button class="button">Set the password</button>
    </form>
    <p class="panel-acts">
      ${may("interrupt_others") && html`<button class="button" type="button" data-act="interrupt">Stop their pictures</button>`}
      <button class="button button--danger" type="button" data-act="delete">Delete …</button>
    </p>`
}
