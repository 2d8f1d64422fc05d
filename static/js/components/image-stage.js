/** The picture in the middle: the live preview while it is made, the finished one after, with what it was made from. */

import "./picture-actions.js"
import { play, source } from "../lib/dom.js"
import { percent } from "../lib/format.js"
import { html, render } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { load, notices, page, params, selection } from "../state/app.js"
import { readMetadata, shortFacts } from "../state/metadata.js"
import { isVideo, roleName } from "../state/pictures.js"
import { watch } from "../state/store.js"

class ImageStage extends HTMLElement {
  #stop

  connectedCallback() {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    render(
      this,
      html`
      <div class="stage-view">
        <button class="stage-picture" type="button" aria-label="Enlarge the picture" hidden><img alt=""></button>
        <video class="stage-video" controls loop muted autoplay playsinline hidden></video>
        <p class="stage-badge" hidden></p>
        <div class="stage-empty" data-part="welcome">
          ${icon("picture")}
          <p>Describe a picture below and press <strong>Generate</strong>.</p>
        </div>
        <div class="stage-empty" data-part="nomodel" hidden>
          ${icon("warning")}
          <h2>There is no model yet</h2>
          <p>
            Put a model file (<code>.safetensors</code>) into the folder <code>Models/Stable-Diffusion</code>
            of the server, then look again.
          </p>
          <button class="button" type="button" data-act="refresh">${icon("refresh")}Look for models</button>
        </div>
      </div>
      <div class="stage-caption is-bare">
        <div class="stage-words"><p class="stage-prompt"></p><ul class="facts"></ul></div>
        <picture-actions></picture-actions>
      </div>`,
    )
    this.querySelector(".stage-picture").addEventListener("click", () =>
      document.querySelector("picture-viewer").open(),
    )
    this.querySelector("[data-act=refresh]").addEventListener("click", ({ currentTarget }) =>
      this.#refresh(currentTarget),
    )
    for (const happening of [selection, page, params]) watch(happening, () => this.#draw(), signal)
  }

  disconnectedCallback() {
    this.#stop.abort()
  }

  #draw() {
    const picture = selection.current
    const isEmpty = page.value.isLoaded && !params.models.length
    this.querySelector("[data-part=nomodel]").hidden = !isEmpty || Boolean(picture)
    this.querySelector("[data-part=welcome]").hidden = isEmpty || Boolean(picture)
    this.#picture(picture)
    this.#caption(picture)
  }

  #picture(picture) {
    const frame = this.querySelector(".stage-picture")
    const video = picture && isVideo(picture) ? picture.url : null
    play(this.querySelector(".stage-video"), video)
    const shown = video ? null : (picture?.url ?? picture?.preview ?? null)
    const isLive = Boolean(picture) && !picture.url
    frame.hidden = shown === null
    frame.disabled = isLive
    if (shown) source(frame.querySelector("img"), shown)
    frame.querySelector("img").alt = picture?.url
      ? (readMetadata(picture.metadata)?.params.prompt ?? "Generated picture")
      : "Preview"
    const badge = this.querySelector(".stage-badge")
    const words = isLive ? `Preview · ${percent(picture.percent ?? 0)}` : picture && roleName(picture)
    badge.hidden = !words
    if (words) badge.textContent = words
  }

  #caption(picture) {
    const metadata = readMetadata(picture?.metadata)
    this.querySelector(".stage-caption").classList.toggle("is-bare", !picture)
    this.querySelector(".stage-prompt").textContent = metadata?.params.prompt ?? ""
    render(
      this.querySelector(".facts"),
      html`${metadata && shortFacts(metadata).map(({ text }) => html`<li>${text}</li>`)}`,
    )
    this.querySelector("picture-actions").show(picture)
  }

  async #refresh(button) {
    button.disabled = true
    try {
      await load("TriggerRefresh")
      if (!params.models.length) notices.say("There is still no model in the server's folders.")
    } catch (error) {
      notices.fail(error)
    }
    button.disabled = false
  }
}
customElements.define("image-stage", ImageStage)
