/** The buttons for one picture. Only what can be done with it, by this user, is there. */

import { iconButton } from "../lib/controls.js"
import { html, render } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { menu, openMenus } from "../lib/menu.js"
import * as actions from "../state/actions.js"
import { page, params } from "../state/app.js"
import { fileName } from "../state/pictures.js"

const REUSE = html`<button class="button" type="button" data-act="reuse">${icon("reuse")}Reuse parameters</button>`

/** What stands in the menu: the act, whether it can be done, and how. */
const MORE = [
  { act: "prompt", drawing: "pictures", name: "Use as prompt image", can: actions.canPrompt, run: actions.promptWith },
  { act: "upscale", drawing: "upscale", name: "Upscale 2×", can: actions.canUpscale, run: actions.upscale },
  { act: "copy", drawing: "copy", name: "Copy metadata", can: actions.canCopyMetadata, run: actions.copyMetadata },
  { act: "folder", drawing: "folder", name: "Open its folder", can: actions.canOpenFolder, run: actions.openFolder },
]

function more(picture) {
  const entries = MORE.filter(({ can }) => can(picture))
  return entries.length > 0 && menu("More with this picture", entries)
}

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
    openMenus(this, signal)
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
      ${actions.canReuse(picture) && REUSE}
      ${actions.canStartFrom(picture) && iconButton("picture", "Use as init image", { act: "init" })}
      ${actions.canInpaint(picture) && iconButton("brush", "Edit: inpaint this picture", { act: "inpaint" })}
      ${actions.canStar(picture) && iconButton("star", "Star", { act: "star", look: "button--star" })}
      ${download(picture)}
      ${actions.canDelete(picture) && iconButton("trash", "Delete", { act: "delete" })}
      ${more(picture)}`,
    )
    this.querySelector("[data-act=star]")?.setAttribute("aria-pressed", String(picture.starred))
    if (focused) this.querySelector(`[data-act=${focused}]`)?.focus()
  }

  #act(button) {
    const act = button?.dataset.act
    if (act === "reuse") actions.reuseParameters(this.#picture)
    if (act === "init") actions.startFrom(this.#picture)
    if (act === "inpaint") this.#inpaint(this.#picture)
    if (act === "star") actions.toggleStar(this.#picture)
    if (act === "delete") this.#delete(this.#picture)
    MORE.find((entry) => entry.act === act)?.run(this.#picture)
  }

  async #inpaint(picture) {
    if (await actions.startFrom(picture)) await document.querySelector("mask-editor").open()
  }

  async #delete(picture) {
    const isSure = await document
      .querySelector("confirm-dialog")
      .ask("Delete this picture from the server? This cannot be undone.", "Delete")
    if (isSure) await actions.remove(picture)
  }
}
customElements.define("picture-actions", PictureActions)
