/** The backends: where each one stands, and everything that may be done about them. */

import { factsOf, inOrder, kindOf, levelOf, nameOf, summary } from "../lib/backends.js"
import { follow } from "../lib/dom.js"
import { counted } from "../lib/format.js"
import { element, html, render } from "../lib/html.js"
import { attempt, refresh, say } from "../lib/panel.js"
import { repeat } from "../lib/repeat.js"
import { settingField, settingValues } from "../lib/setting-fields.js"
import { client, connection, may } from "../state/app.js"

const SECONDS = 2

class BackendAdmin extends HTMLElement {
  #types = []
  #backends = {}
  #added = 0
  #end = () => {}

  connectedCallback() {
    render(this, frame())
    this.addEventListener("submit", (event) => {
      event.preventDefault()
      const { act } = event.target.dataset
      if (act === "add") this.#add(event.target)
      else this.#save(event.target)
    })
    this.addEventListener("change", ({ target }) => target.name === "type_id" && this.#describe())
    this.addEventListener("click", (event) => this.#click(event.target.closest("button[data-act]")))
  }

  show() {
    this.#end = repeat(() => refresh(this, () => this.#read()), SECONDS)
  }

  hide() {
    this.#end()
  }

  async #read() {
    if (!this.#types.length) await this.#readTypes()
    const counts = may("read_server_info_panels") ? (await client.call("GetGlobalStatus")).status : null
    const before = this.#added
    const backends = await client.call("ListBackends", { nonreal: true, full_data: true })
    if (before !== this.#added) return // one was added meanwhile: this answer may not know it
    this.#backends = backends
    this.querySelector(".backend-summary").textContent = summary(this.#backends, counts)
    this.#draw()
  }

  async #readTypes() {
    const { list } = await client.call("ListBackendTypes")
    this.#types = list.toSorted((a, b) => b.is_standard - a.is_standard)
    const select = this.querySelector("[name=type_id]")
    if (!select) return
    render(select, html`${this.#types.map(({ id, name }) => html`<option value="${id}">${name}</option>`)}`)
    this.#describe()
  }

  #describe() {
    const form = this.querySelector("[data-act=add]")
    const chosen = this.#types.find(({ id }) => id === form.elements.type_id.value)
    form.querySelector(".muted").textContent = chosen?.description ?? ""
  }

  #draw() {
    follow(this.querySelector(".backends"), inOrder(this.#backends), {
      key: ({ id }) => String(id),
      make: (backend) => element(card(backend)),
      update: (place, backend) => this.#update(place, backend),
    })
  }

  #update(place, backend) {
    const part = (name) => place.querySelector(`[data-part=${name}]`)
    const write = (name, text) => part(name).textContent === text || part(name).replaceChildren(text)
    place.dataset.level = levelOf(backend)
    write("name", nameOf(backend, this.#types))
    write("kind", `${backend.title ? `${kindOf(backend, this.#types)} · ` : ""}number ${backend.id}`)
    write("facts", factsOf(backend).join(" · "))
    write("message", backend.message ?? "")
    part("message").hidden = !backend.message
    write("features", backend.features.join(", "))
    place.querySelector("details").hidden = !backend.features.length
    write("count", counted(backend.features.length, "feature"))
    const origin = backend.servers?.length
      ? `Came with another backend, through ${backend.servers.join(", ")}.`
      : "Came with another backend."
    write("origin", backend.id < 0 ? origin : "")
    part("origin").hidden = backend.id >= 0
    const toggle = place.querySelector("[data-act=toggle]")
    if (toggle) toggle.textContent = backend.enabled ? "Switch off" : "Switch on"
    offer(place, "restart", ["running", "errored"].includes(backend.status))
    offer(place, "free", backend.status === "running")
  }

  async #add(form) {
    const made = await attempt(
      form,
      () => client.call("AddNewBackend", { type_id: form.elements.type_id.value }),
      "The backend is made. Say here how it works.",
    )
    if (!made) return
    this.#added++
    this.#backends = { ...this.#backends, [made.id]: made }
    this.#draw()
    connection.poll()
    if (may("edit_backends")) this.#edit(String(made.id))
  }

  /** Open the form of a backend, or close it when it is open. */
  #edit(key, isOpen = true) {
    const place = this.querySelector(`[data-key="${key}"]`)
    if (!place) return // it has another number now
    const form = place.querySelector(".backend-form")
    place.querySelector("[data-act=edit]").setAttribute("aria-expanded", String(isOpen))
    form.hidden = !isOpen
    render(form, isOpen ? editForm(this.#backends[key], this.#settingsOf(key)) : html``)
    if (isOpen) form.querySelector("[name='.title']").focus()
    else place.querySelector("[data-act=edit]").focus()
  }

  #settingsOf(key) {
    return this.#types.find(({ id }) => id === this.#backends[key].type)?.settings ?? []
  }

  async #save(form) {
    const { key } = form.closest("[data-key]").dataset
    const settings = settingValues(
      form,
      this.#settingsOf(key).map((each) => [each.name, each]),
    )
    const body = { backend_id: Number(key), title: form.elements[".title"].value.trim(), settings }
    const number = Number(form.elements[".number"].value)
    if (number !== Number(key)) body.new_id = number
    const button = form.querySelector(".button--main")
    const saved = await this.#act(button, "EditBackend", body, () => "The backend is saved and starts anew.")
    if (!saved) return
    this.#edit(key, false)
    this.querySelector(`[data-key="${saved.id}"] [data-act=edit]`)?.focus()
  }

  async #click(button) {
    const { act } = button?.dataset ?? {}
    const key = button?.closest("[data-key]")?.dataset.key
    const name = key && nameOf(this.#backends[key], this.#types)
    if (act === "edit") this.#edit(key, this.querySelector(`[data-key="${key}"] .backend-form`).hidden)
    if (act === "cancel") this.#edit(key, false)
    if (act === "toggle") {
      const enabled = !this.#backends[key].enabled
      await this.#act(
        button,
        "ToggleBackend",
        { backend_id: Number(key), enabled },
        () => `${name} is switched ${enabled ? "on" : "off"}.`,
      )
    }
    if (act === "restart" || act === "restart-all")
      await this.#act(button, "RestartBackends", { backend: key ?? "all" }, restarted)
    if (act?.startsWith("free"))
      await this.#act(button, "FreeBackendMemory", { backend: key ?? "all", system_ram: act !== "free-device" }, freed)
    if (act === "delete") await this.#delete(button, key, name)
  }

  async #delete(button, key, name) {
    const question = `Delete the backend ${name} (number ${key}) with its settings? Models and pictures stay.`
    if (!(await document.querySelector("confirm-dialog").ask(question, "Delete"))) return
    await this.#act(button, "DeleteBackend", { backend_id: Number(key) }, () => `${name} is deleted.`)
    this.querySelector(".backend-summary").focus()
  }

  /** Ask for something that may have to wait until a backend is free. `told` makes the sentence of its answer. */
  async #act(button, route, body, told) {
    button.disabled = true
    say(this, "Waiting until it is free …")
    const answer = await attempt(this, () => client.call(route, body))
    button.disabled = false
    if (!answer) return null
    say(this, told(answer))
    connection.poll()
    await refresh(this, () => this.#read())
    return answer
  }
}
customElements.define("backend-admin", BackendAdmin)

function restarted({ count }) {
  return count ? `${counted(count, "backend")} restarted.` : "Nothing to restart: no backend runs or has failed."
}

function freed({ result, count }) {
  if (!result) return "No backend runs that could give back memory."
  return count ? `${counted(count, "backend")} gave back memory.` : "There was no memory to give back."
}

/** Show the button for `act`, if the user has it, only while it would do something. */
function offer(place, act, isPossible) {
  const button = place.querySelector(`[data-act=${act}]`)
  if (button) button.hidden = !isPossible
}

function frame() {
  const all = [
    may("restart_backends") && html`<button class="button" type="button" data-act="restart-all">Restart all</button>`,
    may("control_mem_clean") &&
      html`<button class="button" type="button" data-act="free-device">Free device memory</button>
        <button class="button" type="button" data-act="free-all">Free all memory</button>`,
  ].filter(Boolean)
  return html`<div class="panel-part">
    <p class="backend-summary" tabindex="-1">Loading …</p>
    ${all.length > 0 && html`<p class="panel-acts">${all}</p>`}
    <ul class="backends" aria-label="Backends"></ul>
    ${
      may("add_remove_backends") &&
      html`<form data-act="add">
      <h3>New backend</h3>
      <label>Kind <select class="input" name="type_id"></select></label>
      <p class="muted"></p>
      <button class="button">Add the backend</button>
    </form>`
    }
  </div>`
}

function card({ id, enabled }) {
  const isOwn = id >= 0
  const acts = [
    isOwn &&
      may("edit_backends") &&
      html`<button class="button button--small" type="button" data-act="edit" aria-expanded="false">Edit</button>`,
    isOwn &&
      may("restart_backends") &&
      html`<button class="button button--small" type="button" data-act="restart">Restart</button>`,
    may("control_mem_clean") &&
      html`<button class="button button--small" type="button" data-act="free">Free memory</button>`,
    isOwn &&
      may("toggle_backends") &&
      html`<button class="button button--small" type="button" data-act="toggle">
        ${enabled ? "Switch off" : "Switch on"}</button>`,
    isOwn &&
      may("add_remove_backends") &&
      html`<button class="button button--small" type="button" data-act="delete">Delete …</button>`,
  ].filter(Boolean)
  return html`<li class="backend">
    <div class="backend-head">
      <span class="status-dot" aria-hidden="true"></span><h3 id="backend-name-${id}" data-part="name"></h3>
      <span class="muted" data-part="kind"></span>
    </div>
    <p data-part="facts"></p>
    <p class="is-error" data-part="message" hidden></p>
    <p class="muted" data-part="origin" hidden></p>
    <details><summary data-part="count"></summary><p class="muted" data-part="features"></p></details>
    ${acts.length > 0 && html`<p class="panel-acts" role="group" aria-labelledby="backend-name-${id}">${acts}</p>`}
    <div class="backend-form" hidden></div>
  </li>`
}

function editForm(backend, settings) {
  const prefix = `backend-${backend.id}`
  return html`<form data-act="save">
    <label>Title <input class="input" name=".title" value="${backend.title}" autocomplete="off"></label>
    ${settings.map((each) => settingField(each, backend.settings[each.name], { prefix }))}
    <label>Number
      <input class="input" type="number" min="0" step="1" name=".number" value="${backend.id}" required></label>
    <p class="panel-acts"><button class="button button--main">Save and start anew</button>
      <button class="button" type="button" data-act="cancel">Cancel</button></p>
  </form>`
}
