/** The buttons for one picture. Only what can be done with it, by this user, is there. */

import { iconButton } from "../lib/controls.js"
import { html, render } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import {
  canDelete,
  canReuse,
  canStar,
  canStartFrom,
  remove,
  reuseParameters,
  startFrom,
  toggleStar,
} from "../state/actions.js"
import { page, params } from "../state/app.js"
import { fileName } from "../state/pictures.js"

const REUSE = html`<button class="button" type="button" data-act="reuse">${icon("reuse")}Reuse parameters</button>`

function download(picture) {
  return html`<a class="button button--icon" href="${picture.url}" download="${fileName(picture)}" title="Download">
    ${icon("download")}<span class="visually-hidden">Download</span>
  </a>`
}

class PictureActions extends HTMLElement {
  #stop
  #picture = null

  connectedCallback() {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    this.addEventListener("click", (event) => this.#act(event.target.closest("button")), { signal })
    page.addEventListener("change", () => this.#draw(), { signal })
    params.addEventListener("declared", () => this.#draw(), { signal })
  }

  disconnectedCallback() {
    this.#stop.abort()
  }

  /** @param {import("../api/types.js").Picture | null} picture */
  show(picture) {
    if (picture === this.#picture) return
    this.#picture = picture
    this.#draw()
  }

  #draw() {
    const picture = this.#picture
    if (!picture?.url) {
      this.replaceChildren()
      return
    }
    const focused = this.contains(document.activeElement) ? document.activeElement.dataset.act : null
    render(
      this,
      html`
      ${canReuse(picture) && REUSE}
      ${canStartFrom(picture) && iconButton("picture", "Use as init image", { act: "init" })}
      ${canStar(picture) && iconButton("star", "Star", { act: "star", look: "button--star" })}
      ${download(picture)}
      ${canDelete(picture) && iconButton("trash", "Delete", { act: "delete" })}`,
    )
    this.querySelector("[data-act=star]")?.setAttribute("aria-pressed", String(picture.starred))
    if (focused) this.querySelector(`[data-act=${focused}]`)?.focus()
  }

  #act(button) {
    const act = button?.dataset.act
    if (act === "reuse") reuseParameters(this.#picture)
    if (act === "init") startFrom(this.#picture)
    if (act === "star") toggleStar(this.#picture)
    if (act === "delete") this.#delete(this.#picture)
  }

  async #delete(picture) {
    const isSure = await document
      .querySelector("confirm-dialog")
      .ask("Delete this picture from the server? This cannot be undone.", "Delete")
    if (isSure) await remove(picture)
  }
}
customElements.define("picture-actions", PictureActions)
