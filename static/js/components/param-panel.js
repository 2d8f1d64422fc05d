/** All parameters the server declares, in their groups, with a search, a switch for the advanced ones and a reset. */

import { iconButton, searchBox } from "../lib/controls.js"
import { html, render } from "../lib/html.js"
import { params } from "../state/app.js"
import { loadFields, ParamField } from "./param-field.js"
import { ParamGroup } from "./param-group.js"

// The number of images has its place beside the Generate button.
const ELSEWHERE = new Set(["images"])

class ParamPanel extends HTMLElement {
  #stop
  #parts = []

  connectedCallback() {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    render(
      this,
      html`
      <div class="panel-tools">
        ${searchBox("Search parameters")} ${iconButton("undo", "Reset all parameters", { act: "reset" })}
      </div>
      <div class="panel-parts"></div>
      <p class="empty" data-part="none" hidden>No parameter matches.</p>
      <label class="panel-advanced">
        <span>Show advanced parameters</span><input class="switch" type="checkbox" role="switch">
      </label>`,
    )
    const advanced = this.querySelector(".panel-advanced .switch")
    advanced.checked = params.advanced
    advanced.addEventListener("change", () => params.showAdvanced(advanced.checked))
    this.querySelector("[type=search]").addEventListener("input", (event) => params.filter(event.target.value))
    this.querySelector("[data-act=reset]").addEventListener("click", () => params.resetAll())
    params.addEventListener("declared", () => this.#build(), { signal })
    params.addEventListener("change", () => this.#update(), { signal })
  }

  disconnectedCallback() {
    this.#stop.abort()
  }

  async #build() {
    const declared = [...params.params.values()].filter(
      (param) => param.visible && !param.extra_hidden && !ELSEWHERE.has(param.id),
    )
    await loadFields(declared)
    const inside = (group) => [...this.#fields(declared, group), ...this.#groups(declared, group)]
    this.#parts = inside(null)
    this.querySelector(".panel-parts").replaceChildren(...this.#parts)
    this.#update()
  }

  #fields(declared, group) {
    return declared
      .filter((param) => (param.group ?? null) === group)
      .map((param) => ParamField.for(param))
  }

  #groups(declared, parent) {
    const groups = [...params.groups.values()].filter((group) => (group.parent ?? null) === parent)
    return groups
      .sort((one, other) => one.priority - other.priority)
      .map((group) => {
        const made = ParamGroup.for(group)
        made.fill([...this.#fields(declared, group.id), ...this.#groups(declared, group.id)])
        return made
      })
  }

  #update() {
    const shown = this.#parts.map((part) => part.update())
    this.querySelector("[data-part=none]").hidden = !params.search || shown.some(Boolean)
  }
}
customElements.define("param-panel", ParamPanel)
