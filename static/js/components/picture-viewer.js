/** The chosen picture over the whole window, with all that is known about it. Arrow keys go to its neighbours. */

import "./picture-actions.js"
import { play, source } from "../lib/dom.js"
import { iconButton } from "../lib/controls.js"
import { html, render } from "../lib/html.js"
import { params, selection } from "../state/app.js"
import { allFacts, readMetadata } from "../state/metadata.js"
import { isVideo } from "../state/pictures.js"

/** What is gone on with on the page itself. */
const LEAVING = new Set(["reuse", "inpaint"])
const STEPS = { before: -1, after: 1 }

class PictureViewer extends HTMLElement {
  #stop

  connectedCallback() {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    render(
      this,
      html`<dialog class="viewer" aria-label="Picture">
      <div class="viewer-view">
        <button class="viewer-picture" type="button" aria-label="Original size" aria-pressed="false">
          <img alt="">
        </button>
        <video class="viewer-video" controls loop muted autoplay playsinline hidden></video>
      </div>
      ${iconButton("back", "Picture before this one", { act: "before", look: "viewer-step" })}
      ${iconButton("chevron", "Picture after this one", { act: "after", look: "viewer-step" })}
      ${iconButton("close", "Close", { act: "close", look: "viewer-step" })}
      <div class="viewer-side">
        <div class="viewer-head"><picture-actions></picture-actions></div>
        <dl class="viewer-facts"></dl>
      </div>
    </dialog>`,
    )
    const dialog = this.querySelector("dialog")
    dialog.addEventListener("close", () => play(this.querySelector("video"), null), { signal })
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
    if (STEPS[button?.dataset.act]) selection.move(STEPS[button.dataset.act])
    if (button?.matches(".viewer-picture")) this.#zoom(button.getAttribute("aria-pressed") !== "true")
    if (LEAVING.has(button?.dataset.act)) this.querySelector("dialog").close()
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
    const isMoving = isVideo(picture)
    play(this.querySelector("video"), isMoving ? picture.url : null)
    this.querySelector(".viewer-picture").hidden = isMoving
    if (!isMoving) source(image, picture.url)
    image.alt = metadata?.params.prompt ?? "Generated picture"
    this.querySelector("picture-actions").show(picture)
    for (const [act, step] of Object.entries(STEPS)) {
      this.querySelector(`[data-act=${act}]`).disabled = !selection.neighbour(step)
    }
    const facts = metadata ? allFacts(metadata, params.params) : []
    const file = picture.path ? [{ id: "path", name: "File", text: picture.path }] : []
    render(
      this.querySelector("dl"),
      html`${[...facts, ...file].map(
        ({ id, name, text }) => html`<div data-id="${id}"><dt>${name}</dt><dd>${text}</dd></div>`,
      )}`,
    )
  }
}
customElements.define("picture-viewer", PictureViewer)
