/** One's own account: password, logins, and leaving. */

import { html, render } from "../lib/html.js"
import { attempt, panel, values } from "../lib/panel.js"
import { sentPassword } from "../lib/password.js"
import { client, may } from "../state/app.js"

const ACCOUNTS_MODE = "userauthorization.authorizationrequired"

class AccountDialog extends HTMLElement {
  #user = ""
  #tokens = null

  connectedCallback() {
    render(this, panel("Account", ""))
    this.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#submit(event.target)
    })
    this.addEventListener("click", (event) => this.#click(event.target.closest("button")))
  }

  async open() {
    this.querySelector("dialog").showModal()
    await this.#load()
  }

  async #load() {
    await attempt(this.querySelector(".panel-body"), async () => {
      this.#user = (await client.session()).user_id
      this.#tokens = await logins()
      this.#draw()
    })
  }

  #draw() {
    const hasAccounts = this.#tokens !== null
    render(
      this.querySelector(".panel-body"),
      html`<p>You are <strong>${this.#user}</strong>. ${hasAccounts ? "" : "Nobody needs to log in on this server."}</p>
        ${may("edit_user_settings") && passwordForm(this.#user)}
        ${!hasAccounts && may("edit_server_settings") && may("manage_users") && START}
        ${hasAccounts && loginList(this.#tokens)} ${hasAccounts && may("edit_user_settings") && TOKEN}
        ${hasAccounts && html`<p><button class="button" type="button" data-act="logout">Log out</button></p>`}`,
    )
  }

  #submit(form) {
    const given = values(form)
    if (form.dataset.act === "password") this.#changePassword(form, given)
    else this.#makeToken(form, given.reason)
  }

  async #changePassword(form, { old, fresh, again }) {
    const changed = await attempt(
      form,
      async () => {
        if (fresh.length < 8) throw new Error("New password must be at least 8 characters long.")
        if (fresh !== again) throw new Error("The two new passwords are not the same.")
        const [oldPassword, newPassword] = await Promise.all([old, fresh].map((each) => sentPassword(this.#user, each)))
        return client.call("ChangePassword", { oldPassword, newPassword })
      },
      "The password is changed. Other logins have ended.",
    )
    if (changed) form.reset()
  }

  async #makeToken(form, reason) {
    const made = await attempt(form, () => client.call("CreateAuthToken", { reason }), "Copy the token now.")
    if (!made) return
    this.#tokens = await logins()
    this.#draw()
    const shown = this.querySelector("[name=token]")
    shown.value = made.token
    shown.closest("label").hidden = false
    shown.select()
  }

  async #click(button) {
    const { act, id } = button?.dataset ?? {}
    if (act === "close") this.querySelector("dialog").close()
    if (act === "revoke" && (await attempt(button, () => client.call("RevokeMyAuthToken", { tokenId: id })))) this.#load()
    if (act === "logout" && (await attempt(button, () => client.call("Logout")))) leave()
    const on = { settings: { [ACCOUNTS_MODE]: true } }
    if (act === "start" && (await attempt(button, () => client.call("ChangeServerSettings", on)))) leave()
  }
}
customElements.define("account-dialog", AccountDialog)

/** One's logins; null on a server where nobody logs in. */
async function logins() {
  try {
    return (await client.call("ListMyAuthTokens")).tokens
  } catch (error) {
    if (error.id === "unreachable") throw error
    return null
  }
}

function leave() {
  client.forget()
  location.replace(new URL("Login", document.baseURI))
}

function passwordForm(user) {
  return html`<form data-act="password">
    <h3>Password</h3>
    <input type="hidden" name="username" autocomplete="username" value="${user}">
    <label>Old password <input class="input" type="password" name="old" autocomplete="current-password"></label>
    <label>New password <input class="input" type="password" name="fresh" autocomplete="new-password" required></label>
    <label>Again <input class="input" type="password" name="again" autocomplete="new-password" required></label>
    <button class="button">Change the password</button>
  </form>`
}

const START = html`<section>
  <h3>Accounts</h3>
  <p class="muted">With accounts, everyone logs in and has pictures of their own. Set your own password first.</p>
  <p><button class="button" type="button" data-act="start">Have everyone log in</button></p>
</section>`

const TOKEN = html`<form data-act="token">
  <h3>A login for a program</h3>
  <label>What for <input class="input" name="reason" maxlength="500" required></label>
  <label hidden>The token, shown this once <input class="input" name="token" readonly></label>
  <button class="button">Make a token</button>
</form>`

function loginList(tokens) {
  return html`<section>
    <h3>Logins</h3>
    <ul class="panel-list">
      ${tokens.map(
        (token) => html`<li>
          <span>${token.user_agent}<br><span class="muted">${token.origin_address}, last used ${day(token.last_active)}</span></span>
          ${
            token.is_current
              ? html`<span class="muted">this one</span>`
              : html`<button class="button button--small" type="button" data-act="revoke" data-id="${token.id}">End</button>`
          }
        </li>`,
      )}
    </ul>
  </section>`
}

function day(seconds) {
  return new Date(seconds * 1000).toLocaleDateString()
}
