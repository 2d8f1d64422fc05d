/** One model file: what is said about it, and what may be done with it. Fires "model-changed" with its present name. */

import { html, render } from "../lib/html.js"
import { ACCEPTED, readPicture } from "../lib/files.js"
import { editBody, fieldsOf, shown } from "../lib/model-facts.js"
import { attempt, say } from "../lib/panel.js"
import { client, may } from "../state/app.js"

const CHECKED = html` checked`
const CHECKPOINTS = "Stable-Diffusion"

class ModelForm extends HTMLElement {
  #subtype = CHECKPOINTS
  #model = null
  #classes = {}

  connectedCallback() {
    this.addEventListener("submit", (event) => {
      event.preventDefault()
      if (event.target.dataset.act === "rename") this.#rename(event.target)
      else this.#save(event.target)
    })
    this.addEventListener("click", (event) => this.#click(event.target.closest("button[data-act]")))
  }

  /** Show `model` of the set `subtype`, or nothing. `classes`: the wire's model classes by id. */
  edit(subtype, model, classes) {
    this.#subtype = subtype
    this.#model = model
    this.#classes = classes
    this.#draw()
  }

  #draw() {
    if (this.#model) render(this, forms(this.#subtype, this.#model, this.#classes))
    else render(this, html`<p class="muted">Choose a file.</p>`)
  }

  async #save(form) {
    const fields = fieldsOf(this.#subtype)
    const given = Object.fromEntries(
      fields.map(({ send, kind }) => {
        const { value, checked } = form.elements[send]
        return [send, kind === "truth" ? checked : value]
      }),
    )
    const [file] = form.elements.preview.files
    const done = await attempt(
      this,
      async () => {
        const body = editBody(this.#subtype, this.#model, given)
        if (form.elements.clear?.checked) body.preview_image = "clear"
        if (file) body.preview_image = await readPicture(file)
        await client.call("EditModelMetadata", body)
      },
      "Saved beside the model.",
    )
    if (done) this.#changed(this.#model.name)
  }

  async #rename(form) {
    const fresh = form.elements.name.value.trim()
    const body = { oldName: this.#model.name, newName: fresh, subtype: this.#subtype }
    if (await attempt(this, () => client.call("RenameModel", body), "The model has its new name.")) this.#changed(fresh)
  }

  async #click(button) {
    const { act } = button?.dataset ?? {}
    if (act === "delete") await this.#delete()
    if (act === "load") await this.#wait(button, "Loading the model …", () => this.#load())
    if (act === "hash") await this.#wait(button, "Reading the file …", () => this.#hash())
  }

  async #wait(button, text, act) {
    button.disabled = true
    say(this, text)
    await act()
    button.disabled = false
  }

  #load() {
    return attempt(this, () => client.call("SelectModel", { model: this.#model.name }), "The model is loaded.")
  }

  async #hash() {
    const body = { modelName: this.#model.name, subtype: this.#subtype }
    const answer = await attempt(this, () => client.call("GetModelHash", body))
    if (answer)
      say(this, answer.hash ? `SHA-256 of its tensors: ${answer.hash}` : "There is no hash for files of this format.")
  }

  async #delete() {
    const { name } = this.#model
    if (
      !(await document
        .querySelector("confirm-dialog")
        .ask(`Move ${name} and what lies beside it to the trash?`, "Delete"))
    )
      return
    const body = { modelName: name, subtype: this.#subtype }
    if (await attempt(this, () => client.call("DeleteModel", body), `${name} is in the trash.`)) this.#changed(null)
  }

  #changed(name) {
    this.dispatchEvent(new CustomEvent("model-changed", { bubbles: true, detail: { name } }))
  }
}
customElements.define("model-form", ModelForm)

function forms(subtype, model, classes) {
  const acts = [
    subtype === CHECKPOINTS &&
      may("load_models_now") &&
      html`<button class="button" type="button" data-act="load">Load now</button>`,
    may("edit_model_metadata") && html`<button class="button" type="button" data-act="hash">Show its hash</button>`,
    may("delete_models") &&
      html`<button class="button button--danger" type="button" data-act="delete">Delete …</button>`,
  ].filter(Boolean)
  return html`<h3>${model.name}</h3>
    <p class="panel-acts">${acts}</p>
    ${may("edit_model_metadata") && factsForm(subtype, model, classes)}
    ${
      may("delete_models") &&
      html`<form data-act="rename">
        <label>New name, which may begin with a folder
          <input class="input" name="name" value="${model.name}" autocomplete="off" required></label>
        <button class="button">Rename</button>
      </form>`
    }`
}

function factsForm(subtype, model, classes) {
  const hasPreview = model.preview_image && !model.preview_image.endsWith("model_placeholder.jpg")
  return html`<form data-act="facts">
    <div class="model-fields">${fieldsOf(subtype).map((field) => control(field, shown(field, model)))}</div>
    <datalist id="model-classes">${Object.entries(classes).map(
      ([id, each]) => html`<option value="${id}">${each.name ?? id}</option>`,
    )}</datalist>
    <label>Picture <input class="input" type="file" name="preview" accept="${ACCEPTED}"></label>
    ${hasPreview && html`<label class="panel-check"><input type="checkbox" name="clear"> Take the picture away</label>`}
    <button class="button button--main">Save</button>
  </form>`
}

function control({ send, name, kind }, value) {
  if (kind === "truth")
    return html`<label class="panel-check"><input type="checkbox" name="${send}"${value ? CHECKED : ""}> ${name}</label>`
  if (kind === "long")
    return html`<label class="is-wide">${name}
      <textarea class="input" rows="2" name="${send}">${"\n"}${value}</textarea></label>`
  if (kind === "size")
    return html`<label>${name}
      <input class="input" type="number" min="0" step="1" name="${send}" value="${value}"></label>`
  const list = kind === "class" ? html` list="model-classes"` : ""
  return html`<label>${name} <input class="input" name="${send}" value="${value}" autocomplete="off"${list}></label>`
}
