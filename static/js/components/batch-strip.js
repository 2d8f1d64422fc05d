/** The pictures of this visit, the running ones with their progress. Choosing one puts it on the stage. */

import { iconButton } from "../lib/controls.js"
import { attribute, follow, source } from "../lib/dom.js"
import { percent } from "../lib/format.js"
import { element, html, render } from "../lib/html.js"
import { roving } from "../lib/roving.js"
import { generation, selection } from "../state/app.js"
import { readMetadata } from "../state/metadata.js"
import { roleName, thumbnail } from "../state/pictures.js"
import { watch } from "../state/store.js"

const CLEAR = "Clear the strip (the files stay)"

function promptOf(picture) {
  return readMetadata(picture.metadata)?.params.prompt || "a picture"
}

class BatchStrip extends HTMLElement {
  #stop
  #focus
  #count = 0

  connectedCallback() {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    render(
      this,
      html`
      <div class="strip-tiles" role="group" aria-label="Pictures of this visit"></div>
      <p class="strip-waiting" hidden></p>
      ${iconButton("close", "Clear the strip", { act: "clear", title: CLEAR, look: "button--quiet" })}`,
    )
    const tiles = this.querySelector(".strip-tiles")
    this.#focus = roving(tiles, "button", signal)
    tiles.addEventListener("click", (event) => this.#choose(event.target.closest("button")?.dataset.key), { signal })
    this.querySelector("[data-act=clear]").addEventListener("click", () => generation.clear())
    for (const happening of [generation, selection]) watch(happening, () => this.#draw(), signal)
  }

  disconnectedCallback() {
    this.#stop.abort()
  }

  #draw() {
    const { pictures, waiting } = generation
    const tiles = this.querySelector(".strip-tiles")
    this.hidden = pictures.length === 0 && waiting === 0
    follow(tiles, pictures, {
      key: (picture) => picture.key,
      make: () => this.#make(),
      update: (tile, picture) => this.#update(tile, picture),
    })
    const more = this.querySelector(".strip-waiting")
    more.hidden = waiting === 0
    more.textContent = `+${waiting} waiting`
    this.querySelector("[data-act=clear]").hidden = !pictures.some((picture) => picture.isDone)
    this.#focus.refresh()
    if (pictures.length > this.#count) tiles.scrollLeft = tiles.scrollWidth
    this.#count = pictures.length
  }

  #make() {
    return element(
      html`<button class="tile" type="button" tabindex="-1">
        <img alt="" hidden><progress max="1" value="0" aria-hidden="true"></progress>
        <span class="tile-role" aria-hidden="true" hidden></span>
      </button>`,
    )
  }

  #update(tile, picture) {
    const image = tile.querySelector("img")
    const shown = thumbnail(picture)
    image.hidden = shown === null
    if (shown) source(image, shown)
    tile.querySelector("progress").value = picture.percent
    tile.querySelector("progress").hidden = picture.isDone
    tile.classList.toggle("is-live", !picture.isDone)
    const role = picture.isDone ? roleName(picture) : null
    const words = tile.querySelector(".tile-role")
    words.hidden = role === null
    words.textContent = role ?? ""
    attribute(
      tile,
      "aria-label",
      picture.isDone
        ? `${role ?? "Finished"}: ${promptOf(picture)}`
        : `Picture in progress, ${percent(Math.floor(picture.percent * 4) / 4)}`,
    )
    attribute(tile, "aria-pressed", String(selection.current?.key === picture.key))
  }

  #choose(key) {
    const picture = generation.pictures.find((known) => known.key === key)
    if (picture) selection.choose(picture, () => generation.pictures)
  }
}
customElements.define("batch-strip", BatchStrip)
