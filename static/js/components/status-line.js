/** One line about the server: ready, loading, how many are waiting, or what is wrong. */

import { html, render } from "../lib/html.js"
import { connection } from "../state/app.js"
import { statusLine } from "../state/connection.js"
import { watch } from "../state/store.js"

class StatusLine extends HTMLElement {
  #stop

  connectedCallback() {
    this.#stop = new AbortController()
    render(this, html`<span class="status-dot" aria-hidden="true"></span><span data-part="text"></span>`)
    watch(connection, () => this.#draw(), this.#stop.signal)
  }

  disconnectedCallback() {
    this.#stop.abort()
  }

  #draw() {
    const { text, level } = statusLine(connection.value)
    this.dataset.level = level || "good"
    this.title = text
    this.querySelector("[data-part=text]").textContent = text
  }
}
customElements.define("status-line", StatusLine)
