/**
 * What the picture should show, in words and pictures, and what it should not. Grows with its text; Ctrl+Enter makes
 * the picture.
 */

import { addPictures, make } from "../fields/image_list.js"
import { picturesOf } from "../lib/files.js"
import { element, html, render } from "../lib/html.js"
import { generate, params } from "../state/app.js"
import { watch } from "../state/store.js"

const BOXES = ["prompt", "negativeprompt"]
const PICTURES = "promptimages"

class PromptBox extends HTMLElement {
  #stop
  #pictures = null

  connectedCallback() {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    render(
      this,
      html`
      <div class="prompt-part">
        <label for="prompt">Prompt</label>
        <textarea id="prompt" rows="2" placeholder="Describe the picture"></textarea>
      </div>
      <div class="prompt-part prompt-part--negative">
        <label for="negativeprompt">Negative prompt</label>
        <textarea id="negativeprompt" rows="1" placeholder="What should not be in it"></textarea>
      </div>`,
    )
    this.addEventListener("input", ({ target }) => BOXES.includes(target.id) && params.set(target.id, target.value), {
      signal,
    })
    this.addEventListener(
      "keydown",
      (event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return
        event.preventDefault()
        generate()
      },
      { signal },
    )
    this.addEventListener("paste", (event) => this.#take(event, event.clipboardData), { signal })
    this.addEventListener("drop", (event) => this.#take(event, event.dataTransfer), { signal })
    params.addEventListener("declared", () => this.#offerPictures(), { signal })
    watch(params, () => this.#draw(), signal)
    // Not on touch screens, where it would open the keyboard over the page.
    if (matchMedia("(hover: hover)").matches) this.querySelector("#prompt").focus({ preventScroll: true })
  }

  disconnectedCallback() {
    this.#stop.abort()
  }

  /** Pictures pasted or dropped onto the words belong to them. The list takes its own. */
  #take(event, transfer) {
    const pictures = picturesOf(transfer)
    if (!pictures.length || !params.has(PICTURES) || event.target.closest(".picture-list")) return
    event.preventDefault()
    addPictures(PICTURES, pictures)
  }

  #offerPictures() {
    this.querySelector(".prompt-part--pictures")?.remove()
    this.#pictures = null
    const param = params.params.get(PICTURES)
    if (!param) return
    this.#pictures = make(param, (value) => params.set(PICTURES, value), `${param.name}: drop, paste or`)
    this.#pictures.control.setAttribute("aria-label", param.name)
    const part = element(html`<div class="prompt-part prompt-part--pictures"></div>`)
    part.append(this.#pictures.element)
    this.append(part)
  }

  #draw() {
    this.#pictures?.show(params.value(PICTURES))
    for (const id of BOXES) {
      const box = this.querySelector(`#${id}`)
      const value = params.value(id)
      if (value !== undefined && box.value !== value) box.value = value
      box.parentElement.hidden = value === undefined && params.params.size > 0
    }
  }
}
customElements.define("prompt-box", PromptBox)
