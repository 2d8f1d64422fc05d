/** The chosen model, and the list to choose another from. */

import { iconButton, searchBox } from "../lib/controls.js"
import { attribute, follow } from "../lib/dom.js"
import { modelName } from "../lib/format.js"
import { element, html, render } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { roving } from "../lib/roving.js"
import { load, notices, page, params } from "../state/app.js"
import { watch } from "../state/store.js"

const PLACEHOLDER = "imgs/model_placeholder.jpg"

/** Where the picture of a model is, relative to the page: the wire may give it from the root. */
function previewOf(model) {
  return (model?.preview_image || PLACEHOLDER).replace(/^\/+/, "")
}

function titleOf(model) {
  return model.title || modelName(model.name)
}

function familyOf(model) {
  const { standard_width: width, standard_height: height } = model
  const size = width ? ` · ${width === height ? width : `${width} × ${height}`}\u00a0px` : ""
  return (model.class || model.architecture || "Unknown family") + size
}

class ModelPicker extends HTMLElement {
  #stop
  #focus

  connectedCallback() {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    render(
      this,
      html`
      <button class="model-current" type="button" aria-haspopup="dialog">
        <img src="${PLACEHOLDER}" alt="">
        <span class="model-words"><strong>Loading …</strong><span></span></span>${icon("chevron")}
      </button>
      <dialog class="dialog model-dialog" aria-label="Choose a model">
        <div class="dialog-head">
          ${searchBox("Search models")} ${iconButton("refresh", "Look for new models", { act: "refresh" })}
          ${iconButton("close", "Close", { act: "close" })}
        </div>
        <div class="model-cards"></div>
        <p class="empty" hidden>No model matches.</p>
      </dialog>`,
    )
    this.#focus = roving(this.querySelector(".model-cards"), "button", signal)
    this.#listen()
    for (const happening of [params, page]) watch(happening, () => this.#draw(), signal)
  }

  disconnectedCallback() {
    this.#stop.abort()
  }

  #listen() {
    const dialog = this.querySelector("dialog")
    this.querySelector(".model-current").addEventListener("click", () => {
      this.querySelector("[type=search]").value = ""
      this.#cards()
      dialog.showModal()
    })
    this.querySelector("[data-act=close]").addEventListener("click", () => dialog.close())
    this.querySelector("[data-act=refresh]").addEventListener("click", ({ currentTarget }) =>
      this.#refresh(currentTarget),
    )
    this.querySelector("[type=search]").addEventListener("input", () => this.#cards())
    this.querySelector(".model-cards").addEventListener("click", (event) => {
      const name = event.target.closest("button")?.dataset.key
      if (!name) return
      params.set("model", name)
      dialog.close()
    })
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close())
  }

  #draw() {
    const { model } = params
    const button = this.querySelector(".model-current")
    const isEmpty = page.value.isLoaded && !params.models.length
    attribute(button, "disabled", !params.models.length)
    button.querySelector("img").src = previewOf(model)
    const [title, family] = model
      ? [titleOf(model), familyOf(model)]
      : isEmpty
        ? ["No model", "The server has none yet"]
        : ["Loading …", ""]
    button.querySelector("strong").textContent = title
    button.querySelector(".model-words span").textContent = family
    attribute(button, "aria-label", model ? `Model: ${title}. Choose another` : title)
    if (this.querySelector("dialog").open) this.#cards()
  }

  #cards() {
    const words = this.querySelector("[type=search]").value.toLowerCase().split(/\s+/).filter(Boolean)
    const models = params.models.filter((model) => {
      const text = `${model.name} ${titleOf(model)} ${familyOf(model)}`.toLowerCase()
      return words.every((word) => text.includes(word))
    })
    follow(this.querySelector(".model-cards"), models, {
      key: (model) => model.name,
      make: (model) => this.#card(model),
      update: (card, model) => attribute(card, "aria-pressed", String(model.name === params.model?.name)),
    })
    this.querySelector("dialog .empty").hidden = models.length > 0
    this.#focus.refresh()
  }

  #card(model) {
    return element(html`<button class="model-card" type="button" tabindex="-1" title="${model.name}">
      <img src="${previewOf(model)}" alt="" loading="lazy">
      <span class="model-words"><strong>${titleOf(model)}</strong><span>${familyOf(model)}</span></span>
    </button>`)
  }

  async #refresh(button) {
    button.disabled = true
    try {
      await load("TriggerRefresh")
    } catch (error) {
      notices.fail(error)
    }
    button.disabled = false
  }
}
customElements.define("model-picker", ModelPicker)
