/** The chosen picture over the whole window, with everything that is known about it. Arrow keys go to its neighbours. */

import "./picture-actions.js"
import { source } from "../lib/dom.js"
import { html, render } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { params, selection } from "../state/app.js"
import { allFacts, readMetadata } from "../state/metadata.js"

class PictureViewer extends HTMLElement {
  #stop

  connectedCallback() {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    render(this, html`<dialog class="viewer" aria-label="Picture">
      <div class="viewer-view"><button class="viewer-picture" type="button" aria-label="Original size" aria-pressed="false"><img alt=""></button></div>
      <button class="button button--icon viewer-step" type="button" data-step="-1" aria-label="Picture before this one">${icon("back")}</button>
      <button class="button button--icon viewer-step" type="button" data-step="1" aria-label="Picture after this one">${icon("chevron")}</button>
      <button class="button button--icon viewer-step" type="button" data-act="close" aria-label="Close">${icon("close")}</button>
      <div class="viewer-side">
        <div class="viewer-head"><picture-actions></picture-actions></div>
        <dl class="viewer-facts"></dl>
      </div>
    </dialog>`)
    const dialog = this.querySelector("dialog")
    dialog.addEventListener("keydown", (event) => this.#key(event))
    dialog.addEventListener("click", (event) => this.#click(event))
    selection.addEventListener("change", () => dialog.open && this.#draw(), { signal })
  }

  disconnectedCallback() {
    this.#stop.abort()
  }

  open() {
    this.#draw()
    this.querySelector("dialog").showModal()
    this.querySelector("[data-act=close]").focus()
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    if (step) selection.move(step)
  }

  #click(event) {
    const button = event.target.closest("button")
    if (button?.dataset.act === "close") this.querySelector("dialog").close()
    if (button?.dataset.step) selection.move(Number(button.dataset.step))
    if (button?.matches(".viewer-picture")) this.#zoom(button.getAttribute("aria-pressed") !== "true")
    if (button?.dataset.act === "reuse") this.querySelector("dialog").close()
  }

  #zoom(isFull) {
    this.querySelector(".viewer-picture").setAttribute("aria-pressed", String(isFull))
    this.querySelector("dialog").classList.toggle("is-full", isFull)
  }

  #draw() {
    const picture = selection.current
    if (!picture?.url) {
      this.querySelector("dialog").close()
      return
    }
    this.#zoom(false)
    const metadata = readMetadata(picture.metadata)
    const image = this.querySelector("img")
    source(image, picture.url)
    image.alt = metadata?.params.prompt ?? "Generated picture"
    this.querySelector("picture-actions").show(picture)
    for (const button of this.querySelectorAll("[data-step]")) button.disabled = !selection.neighbour(Number(button.dataset.step))
    const facts = metadata ? allFacts(metadata, params.params) : []
    const file = picture.path ? [{ id: "path", name: "File", text: picture.path }] : []
    render(this.querySelector("dl"), html`${[...facts, ...file].map(({ id, name, text }) => html`<div data-id="${id}"><dt>${name}</dt><dd>${text}</dd></div>`)}`)
  }
}
customElements.define("picture-viewer", PictureViewer)
