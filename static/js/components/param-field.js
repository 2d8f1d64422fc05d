/** One parameter: its name, its switch if it has one, the field of its kind, its help, and the way to the default. */

import * as unloaded from "../fields/unloaded.js"
import { attribute } from "../lib/dom.js"
import { html, render } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { params } from "../state/app.js"
import { fieldKind } from "../state/rules.js"

const kinds = new Map()

/** Load the field modules that `declared` parameters need. Where one cannot be had, the field says so; asked again later. */
export async function loadFields(declared) {
  const missing = [...new Set(declared.map(fieldKind))].filter((kind) => (kinds.get(kind) ?? unloaded) === unloaded)
  await Promise.all(
    missing.map(async (kind) => kinds.set(kind, await import(`../fields/${kind}.js`).catch(() => unloaded))),
  )
}

function toggle({ name }) {
  const look = "switch switch--small"
  return html`<input class="${look}" type="checkbox" role="switch" data-part="toggle" aria-label="Use ${name}">`
}

function hint(act, drawing, name) {
  return html`<button class="hint-button" type="button" data-act="${act}" aria-label="${name}" title="${name}" hidden>
    ${icon(drawing)}
  </button>`
}

export class ParamField extends HTMLElement {
  #field
  #changed

  /** @param {import("../api/types.js").Param} param  whose kind was loaded */
  static for(param) {
    const field = new ParamField()
    field.param = param
    return field
  }

  connectedCallback() {
    if (this.#field) return
    const { param } = this
    const kind = kinds.get(fieldKind(param))
    this.classList.add("field", `field--${kind.layout}`)
    render(
      this,
      html`
      <div class="field-head">
        ${param.toggleable && toggle(param)}
        <label class="field-name" for="param-${param.id}">${param.name}</label>
        ${hint("help", "help", `About ${param.name}`)} ${hint("reset", "undo", `Reset ${param.name}`)}
      </div>
      <div class="field-control"></div>
      <p class="field-help" id="help-${param.id}" hidden>${param.description}</p>`,
    )
    this.#field = kind.make(param, (value) => params.set(param.id, value))
    this.#field.control.id = `param-${param.id}`
    this.#field.also?.setAttribute("aria-label", `${param.name}, slider`)
    this.querySelector(".field-control").append(this.#field.element)
    this.#listen()
    this.update()
  }

  /** Show the current choice; answers whether the field is to be seen at all. */
  update() {
    const { param } = this
    this.hidden = !params.isShown(param)
    if (!this.#field) return !this.hidden
    this.#field.show(params.value(param.id))
    this.classList.toggle("is-off", !params.isActive(param))
    const toggle = this.querySelector("[data-part=toggle]")
    if (toggle) toggle.checked = params.isToggled(param.id)
    const isChanged = params.isChanged(param)
    if (isChanged !== this.#changed) this.querySelector("[data-act=reset]").hidden = !isChanged
    this.#changed = isChanged
    return !this.hidden
  }

  #listen() {
    const { param } = this
    this.querySelector("[data-part=toggle]")?.addEventListener("change", (event) =>
      params.toggle(param.id, event.target.checked),
    )
    this.querySelector("[data-act=reset]").addEventListener("click", () => {
      params.reset(param.id)
      this.#field.control.focus()
    })
    const help = this.querySelector("[data-act=help]")
    help.hidden = !param.description
    attribute(help, "aria-expanded", "false")
    attribute(help, "aria-controls", `help-${param.id}`)
    help.addEventListener("click", () => {
      const text = this.querySelector(".field-help")
      text.hidden = !text.hidden
      attribute(help, "aria-expanded", String(!text.hidden))
    })
  }
}
customElements.define("param-field", ParamField)
