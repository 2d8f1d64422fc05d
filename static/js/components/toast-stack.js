/** Notices at the edge of the window. Errors stay until they are closed, the rest go by themselves. */

import { iconButton } from "../lib/controls.js"
import { element, html } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { notices } from "../state/app.js"

const SECONDS = 5
const MOST = 4

class ToastStack extends HTMLElement {
  #stop

  connectedCallback() {
    this.#stop = new AbortController()
    this.popover = "manual"
    notices.addEventListener("notice", ({ detail }) => this.#add(detail), { signal: this.#stop.signal })
    this.addEventListener("click", (event) => event.target.closest("button")?.parentElement.remove(), {
      signal: this.#stop.signal,
    })
  }

  disconnectedCallback() {
    this.#stop.abort()
  }

  #add({ text, level }) {
    if ([...this.children].some((toast) => toast.dataset.text === text)) return
    const toast = element(html`<div class="toast toast--${level}" role="${level === "error" ? "alert" : "status"}">
      ${icon(level === "error" ? "warning" : "check")}<p>${text}</p>
      ${iconButton("close", "Close this notice", { act: "close", look: "button--quiet" })}
    </div>`)
    toast.dataset.text = text
    this.append(toast)
    while (this.children.length > MOST) this.firstElementChild.remove()
    if (level !== "error") setTimeout(() => toast.remove(), SECONDS * 1000)
    this.#raise()
  }

  /** The newest popover is on top, also over an open dialog. */
  #raise() {
    if (this.matches(":popover-open")) this.hidePopover()
    this.showPopover()
  }
}
customElements.define("toast-stack", ToastStack)
