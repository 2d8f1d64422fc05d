/** The LoRAs to apply, with their weights. Not there when the server has none. */

import { follow } from "../lib/dom.js"
import { modelName } from "../lib/format.js"
import { element, html, render } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { params } from "../state/app.js"
import { addLora, chosenLoras, otherLoras, removeLora, weighLora } from "../state/loras.js"
import { watch } from "../state/store.js"
import { make } from "../fields/number.js"

const WEIGHT = { type: "decimal", min: -10, max: 10, view_min: -1, view_max: 2, step: 0.05, view_type: "slider" }

class LoraList extends HTMLElement {
  #stop
  #fields = new WeakMap()

  connectedCallback() {
    this.#stop = new AbortController()
    render(this, html`<div class="loras"></div><select class="input" aria-label="Add a LoRA"></select>`)
    const select = this.querySelector("select")
    select.addEventListener("change", () => addLora(params, select.value))
    watch(params, () => this.#draw(), this.#stop.signal)
  }

  disconnectedCallback() {
    this.#stop.abort()
  }

  #draw() {
    const chosen = params.has("loras") ? chosenLoras(params) : []
    const others = params.has("loras") ? otherLoras(params) : []
    this.hidden = chosen.length + others.length === 0
    follow(this.querySelector(".loras"), chosen, {
      key: ({ name }) => name,
      make: ({ name }) => this.#make(name),
      update: (row, { weight }) => this.#fields.get(row).show(weight),
    })
    this.#offer(others)
  }

  #offer(others) {
    const select = this.querySelector("select")
    const offered = others.join("\n")
    if (select.dataset.offered === offered) return
    select.dataset.offered = offered
    select.hidden = others.length === 0
    render(
      select,
      html`<option value="" disabled selected>Add a LoRA</option>
        ${others.map((name) => html`<option value="${name}">${name}</option>`)}`,
    )
  }

  #make(name) {
    const row = element(html`<div class="lora">
      <span class="lora-name" title="${name}">${modelName(name)}</span>
      <button class="hint-button" type="button" aria-label="Remove ${name}" title="Remove">${icon("close")}</button>
    </div>`)
    const field = make(WEIGHT, (weight) => weighLora(params, name, weight))
    field.control.setAttribute("aria-label", `Weight of ${name}`)
    field.also.setAttribute("aria-label", `Weight of ${name}, slider`)
    row.append(field.element)
    row.querySelector("button").addEventListener("click", () => removeLora(params, name))
    this.#fields.set(row, field)
    return row
  }
}
customElements.define("lora-list", LoraList)
