/** A foldable group of parameters and the groups inside it, with a switch when the group is used as a whole. */

import { attribute } from "../lib/dom.js"
import { html, render } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { params, settings } from "../state/app.js"
import { ParamField } from "./param-field.js"

export class ParamGroup extends HTMLElement {
  /** @param {import("../api/types.js").Group} group */
  static for(group) {
    const made = new ParamGroup()
    made.group = group
    made.#build()
    return made
  }

  #isOpen = false

  #build() {
    const { group } = this
    this.#isOpen = settings.read("groups", {})[group.id] ?? group.open
    this.classList.add("group")
    render(
      this,
      html`
      <div class="group-head">
        <h3><button class="group-fold" type="button" aria-controls="group-${group.id}" title="${group.description}">
          ${icon("chevron")}<span>${group.name}</span><span class="group-note"></span>
        </button></h3>
        ${group.toggles && html`<input class="switch" type="checkbox" role="switch" aria-label="Use ${group.name}">`}
      </div>
      <div class="group-body" id="group-${group.id}"></div>`,
    )
    this.querySelector(".group-fold").addEventListener("click", () => this.#fold(!this.#isOpen))
    this.querySelector(".group-head .switch")?.addEventListener("change", (event) => {
      params.toggleGroup(group.id, event.target.checked)
      this.#fold(event.target.checked)
    })
  }

  /** Append fields and inner groups. */
  fill(children) {
    this.querySelector(".group-body").append(...children)
  }

  /** Show the current choices; answers whether anything in the group is to be seen. */
  update() {
    const body = this.querySelector(".group-body")
    const fields = [...body.children]
    const shown = fields.map((child) => child.update())
    this.hidden = !shown.some(Boolean)
    this.#show(this.#isOpen || Boolean(params.search))
    const toggle = this.querySelector(":scope > .group-head .switch")
    if (toggle) toggle.checked = params.isGroupOn(this.group.id)
    this.querySelector(".group-note").textContent = this.#note(fields)
    return !this.hidden
  }

  #note(fields) {
    if (this.group.id === "resolution" && params.size) return `${params.size.width} × ${params.size.height}`
    const changed = fields.filter((field) => field instanceof ParamField && params.isChanged(field.param)).length
    return changed ? `${changed} changed` : ""
  }

  #fold(isOpen) {
    this.#isOpen = isOpen
    settings.write("groups", { ...settings.read("groups", {}), [this.group.id]: isOpen })
    this.#show(isOpen)
  }

  #show(isOpen) {
    attribute(this.querySelector(".group-fold"), "aria-expanded", String(isOpen))
    this.querySelector(".group-body").hidden = !isOpen
  }
}
customElements.define("param-group", ParamGroup)
