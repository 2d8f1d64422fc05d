/** The server's settings, a group at a time: web hooks, network and the rest. Only what was changed is sent. */

import { html, render } from "../lib/html.js"
import { attempt, say } from "../lib/panel.js"
import { differs, settingField, settingValues, spelledOut } from "../lib/setting-fields.js"
import { client, may } from "../state/app.js"

const GENERAL = { name: "General", path: "", isGeneral: true }
const DISABLED = html` disabled`

class SettingsAdmin extends HTMLElement {
  #settings = {}
  #chosen = null

  connectedCallback() {
    render(
      this,
      html`<div class="panel-part panel-columns settings-columns">
        <ul class="panel-list" aria-label="Groups of settings"></ul><div class="panel-detail"></div>
      </div>`,
    )
    this.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#save(event.target)
    })
    this.addEventListener("click", ({ target }) => {
      const group = target.closest("[data-group]")?.dataset.group
      if (group === undefined) return
      this.#chosen = group
      this.#draw()
      this.querySelector(`[data-group="${group}"]`).focus()
    })
  }

  async show() {
    await attempt(this, async () => {
      await this.#read()
      this.#draw()
    })
  }

  hide() {}

  async #read() {
    this.#settings = (await client.call("ListServerSettings")).settings
    this.#chosen ??= Object.keys(this.#settings).find((key) => this.#settings[key].type === "group")
  }

  #groups() {
    const groups = Object.entries(this.#settings).filter(([, { type }]) => type === "group")
    const hasMore = groups.length < Object.keys(this.#settings).length
    return [...groups.map(([path, group]) => ({ ...group, path })), ...(hasMore ? [GENERAL] : [])]
  }

  #draw() {
    render(
      this.querySelector("ul"),
      html`${this.#groups().map(
        ({ name, path }) => html`<li><button class="button" type="button" data-group="${path}"
        aria-pressed="${String(path === this.#chosen)}">${spelledOut(name)}</button></li>`,
      )}`,
    )
    render(this.querySelector(".panel-detail"), groupForm(this.#group()))
  }

  /** The chosen group: its name, help, and settings by path. */
  #group() {
    if (this.#chosen !== "") return { ...this.#settings[this.#chosen], path: this.#chosen }
    const loose = Object.entries(this.#settings).filter(([, { type }]) => type !== "group")
    return { ...GENERAL, description: "", value: Object.fromEntries(loose) }
  }

  async #save(form) {
    const group = this.#group()
    const known = leaves(group.value, group.path)
    const given = settingValues(form, known)
    const changed = known.filter(([path, setting]) => differs(setting, setting.value, given[path]))
    const settings = Object.fromEntries(changed.map(([path]) => [path, given[path]]))
    if (!changed.length) {
      say(form, "Nothing is changed.")
      return
    }
    const told = changed.some(([, { description }]) => /read at the (next )?start/i.test(description))
      ? "Saved. What is read at the start acts after the next one."
      : "Saved."
    const saved = await attempt(
      form,
      async () => {
        await client.call("ChangeServerSettings", { settings })
        await this.#read()
      },
      told,
    )
    if (saved) this.#draw()
  }
}
customElements.define("settings-admin", SettingsAdmin)

/** Every setting that is no group, with its dotted path. */
function leaves(settings, path) {
  return Object.entries(settings).flatMap(([key, setting]) => {
    const here = path ? `${path}.${key}` : key
    return setting.type === "group" ? leaves(setting.value, here) : [[here, setting]]
  })
}

function groupForm({ name, description, value, path }) {
  const canSave = may("edit_server_settings")
  return html`<form>
    <h3>${spelledOut(name)}</h3>
    <p class="muted">${description}${canSave ? "" : " You may look at these, but not change them."}</p>
    <fieldset class="settings-group"${canSave ? "" : DISABLED}>${fields(value, path)}</fieldset>
    ${canSave && html`<p class="panel-acts panel-save"><button class="button button--main">Save</button></p>`}
  </form>`
}

function fields(settings, path) {
  return Object.entries(settings).map(([key, setting]) => {
    const here = path ? `${path}.${key}` : key
    if (setting.type !== "group") return settingField(setting, setting.value, { name: here, prefix: "setting" })
    return html`<fieldset class="settings-group"><legend>${spelledOut(setting.name)}</legend>
      <p class="setting-help">${setting.description}</p>${fields(setting.value, here)}</fieldset>`
  })
}
