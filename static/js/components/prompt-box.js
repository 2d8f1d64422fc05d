/** What the picture should show, and what it should not. Grows with its text; Ctrl+Enter makes the picture. */

import { html, render } from "../lib/html.js"
import { generate, params } from "../state/app.js"
import { watch } from "../state/store.js"

const BOXES = ["prompt", "negativeprompt"]

class PromptBox extends HTMLElement {
  #stop

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
    this.addEventListener("input", ({ target }) => params.set(target.id, target.value), { signal })
    this.addEventListener(
      "keydown",
      (event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return
        event.preventDefault()
        generate()
      },
      { signal },
    )
    watch(params, () => this.#draw(), signal)
    // Not on touch screens, where it would open the keyboard over the page.
    if (matchMedia("(hover: hover)").matches) this.querySelector("#prompt").focus({ preventScroll: true })
  }

  disconnectedCallback() {
    this.#stop.abort()
  }

  #draw() {
    for (const id of BOXES) {
      const box = this.querySelector(`#${id}`)
      const value = params.value(id)
      if (value !== undefined && box.value !== value) box.value = value
      box.parentElement.hidden = value === undefined && params.params.size > 0
    }
  }
}
customElements.define("prompt-box", PromptBox)
