/** The model files: what is said about them, renaming, deleting, loading, and looking for new ones. */

import "./model-form.js"
import { searchBox } from "../lib/controls.js"
import { attribute, follow } from "../lib/dom.js"
import { counted } from "../lib/format.js"
import { element, html, render } from "../lib/html.js"
import { attempt, say } from "../lib/panel.js"
import { client, load, may } from "../state/app.js"

const DEPTH = 20
const MOST = 200

class ModelAdmin extends HTMLElement {
  #models = []
  #classes = {}
  #chosen = null

  connectedCallback() {
    render(this, frame())
    this.addEventListener("input", ({ target }) => target.type === "search" && this.#draw())
    this.addEventListener("change", ({ target }) => target.name === "subtype" && this.#change())
    this.addEventListener("model-changed", ({ detail }) => this.#reread(detail.name))
    this.addEventListener("click", ({ target }) => {
      const button = target.closest("button")
      if (button?.dataset.act === "rescan") this.#rescan(button)
      if (button?.dataset.key) this.#choose(button.dataset.key)
    })
  }

  async show() {
    await attempt(this, async () => {
      const { models, model_classes: classes } = await client.call("ListT2IParams")
      this.#classes = classes
      const select = this.querySelector("select")
      const before = select.value
      render(select, html`${Object.keys(models).map((name) => html`<option>${name}</option>`)}`)
      if (before) select.value = before
      await this.#read()
    })
  }

  hide() {}

  get #subtype() {
    return this.querySelector("select").value
  }

  async #read() {
    const answer = await client.call("ListModels", {
      path: "",
      depth: DEPTH,
      subtype: this.#subtype,
      allowRemote: false,
    })
    this.#models = answer.files
    this.#draw()
  }

  #change() {
    this.#choose(null)
    return attempt(this, () => this.#read())
  }

  #draw() {
    const words = this.querySelector("[type=search]").value.toLowerCase().split(/\s+/).filter(Boolean)
    const found = this.#models.filter(({ name, title }) => {
      const text = `${name} ${title ?? ""}`.toLowerCase()
      return words.every((word) => text.includes(word))
    })
    follow(this.querySelector(".model-names"), found.slice(0, MOST), {
      key: ({ name }) => name,
      make: ({ name }) =>
        element(
          html`<li><button class="button" type="button" data-key="${name}" title="${name}">${name}</button></li>`,
        ),
      update: (item, { name }) => attribute(item.firstElementChild, "aria-pressed", String(name === this.#chosen)),
    })
    const more = found.length > MOST ? `, the first ${MOST} are listed` : ""
    this.querySelector("[data-part=count]").textContent = counted(found.length, "file") + more
  }

  #choose(name) {
    this.#chosen = name
    const model = this.#models.find((each) => each.name === name)
    this.querySelector("model-form").edit(this.#subtype, model ?? null, this.#classes)
    this.#draw()
  }

  /** After a change: read the list again, and go on with the model `name`, if it is there. */
  async #reread(name) {
    await this.#read()
    this.#choose(this.#models.some((each) => each.name === name) ? name : null)
    await load()
  }

  async #rescan(button) {
    const bar = this.querySelector("progress")
    const before = new Set(this.#models.map(({ name }) => name))
    button.disabled = true
    bar.hidden = false
    const done = await attempt(this, async () => {
      await load("TriggerRefresh")
      await this.#read()
    })
    button.disabled = false
    bar.hidden = true
    const fresh = this.#models.filter(({ name }) => !before.has(name)).length
    const news = fresh ? `${counted(fresh, "new file")} in this list.` : "Nothing new in this list."
    if (done) say(this, `All folders were read. ${news}`)
  }
}
customElements.define("model-admin", ModelAdmin)

function frame() {
  return html`<div class="panel-part">
    <div class="model-tools">
      <select class="input" name="subtype" aria-label="Kind of model"></select>
      ${searchBox("Search files")}
      ${
        may("control_model_refresh") &&
        html`<button class="button" type="button" data-act="rescan">Look for new files</button>`
      }
    </div>
    <progress aria-label="Reading the folders" hidden></progress>
    <div class="panel-columns">
      <div>
        <p class="muted" data-part="count"></p>
        <ul class="panel-list model-names" aria-label="Model files"></ul>
      </div>
      <model-form class="panel-detail"></model-form>
    </div>
  </div>`
}
