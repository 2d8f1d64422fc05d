/** Name and password, for the login page (`data-kind="login"`) and for new accounts (`data-kind="register"`). */

import { html, render } from "../lib/html.js"
import { accountName, sentPassword } from "../lib/password.js"
import { memory } from "../lib/storage.js"

const KINDS = {
  login: { verb: "Log in", password: "current-password" },
  register: { verb: "Make the account", password: "new-password" },
}
const PROBLEMS = {
  invalid_login: "That name and password do not belong together.",
  ratelimit: "Too many tries. Wait a minute, then try again.",
  invalid_input: "A name has at least 3 letters or digits, a password at least 8 that are not easy to guess.",
  username_exists: "That name is taken, or cannot be used.",
  registration_failed: "The account could not be made.",
  unreachable: "The server does not answer.",
}
const SHORTEST_PASSWORD = 8

class EntryForm extends HTMLElement {
  connectedCallback() {
    const kind = KINDS[this.dataset.kind]
    render(
      this,
      html`<form>
        <label>Name <input class="input" name="name" autocomplete="username" autocapitalize="none" required autofocus></label>
        <label>Password <input class="input" name="password" type="password" autocomplete="${kind.password}" required></label>
        <p role="alert"></p>
        <button class="button button--main">${kind.verb}</button>
      </form>`,
    )
    this.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault()
      this.#submit()
    })
  }

  async #submit() {
    const form = this.querySelector("form")
    const button = form.querySelector("button")
    const name = form.elements.name.value
    const password = form.elements.password.value
    button.disabled = true
    this.#say("")
    try {
      const problem = await this.#enter(name, password)
      if (problem === null) {
        memory("session").forget("session") // what this tab remembers may be somebody else's
        location.replace(new URL("Text2Image", document.baseURI))
      } else this.#say(PROBLEMS[problem] ?? `The server refused: ${problem}.`)
    } finally {
      button.disabled = false
    }
  }

  /** What is wrong, by its wire id; null when the person is in. */
  async #enter(name, password) {
    const isNew = this.dataset.kind === "register"
    if (isNew && (accountName(name).length < 3 || password.length < SHORTEST_PASSWORD)) return "invalid_input"
    const body = { username: name, password: await sentPassword(name, password) }
    const problem = isNew ? await post("RegisterBasic", body) : null
    return problem ?? (await post("Login", body))
  }

  #say(sentence) {
    this.querySelector("[role=alert]").textContent = sentence
  }
}
customElements.define("entry-form", EntryForm)

/** The wire's id of what went wrong, null when nothing did. */
async function post(route, body) {
  const request = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }
  try {
    const answer = await fetch(new URL(`API/${route}`, document.baseURI), request)
    const json = await answer.json()
    return json.error_id ?? (json.error ? "refused" : null)
  } catch {
    return "unreachable"
  }
}
