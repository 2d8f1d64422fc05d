/** The pictures on the server: by folder, ordered, searched, a page at a time as they come into sight. */

import { iconButton, searchBox } from "../lib/controls.js"
import { attribute, follow, source } from "../lib/dom.js"
import { element, html, render } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { roving } from "../lib/roving.js"
import { history, selection } from "../state/app.js"
import { ORDERS } from "../state/history.js"
import { readMetadata } from "../state/metadata.js"
import { roleName } from "../state/pictures.js"
import { watch } from "../state/store.js"

const PAGE = 60

class HistoryBrowser extends HTMLElement {
  #stop
  #focus
  #shown = PAGE
  #onSight
  #marked

  connectedCallback() {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    render(
      this,
      html`
      <div class="history-tools">
        <h2>History</h2>
        ${iconButton("refresh", "Read the history again", { act: "refresh", look: "button--quiet" })}
        <select class="input" data-part="folder" aria-label="Folder"></select>
        <select class="input" data-part="order" aria-label="Order">
          ${ORDERS.map(({ id, name }) => html`<option value="${id}">${name}</option>`)}
        </select>
        ${searchBox("Search the history", "Search prompts and names")}
      </div>
      <div class="thumbs" role="group" aria-label="Pictures"></div>
      <div data-part="more"></div>
      <p class="empty" data-part="empty"></p>`,
    )
    this.#focus = roving(this.querySelector(".thumbs"), "button", signal)
    this.#listen()
    this.#onSight = new IntersectionObserver((seen) => this.#more(seen), { rootMargin: "600px" })
    this.#onSight.observe(this.querySelector("[data-part=more]"))
    watch(history, () => this.#draw(), signal)
    selection.addEventListener("change", () => this.#mark(), { signal })
  }

  disconnectedCallback() {
    this.#stop.abort()
    this.#onSight.disconnect()
  }

  #listen() {
    const part = (name) => this.querySelector(`[data-part=${name}]`)
    this.querySelector("[data-act=refresh]").addEventListener("click", () => history.refresh())
    part("folder").addEventListener("change", ({ target }) => this.#anew(() => history.open(target.value)))
    part("order").addEventListener("change", ({ target }) => this.#anew(() => history.sort(target.value)))
    this.querySelector("[type=search]").addEventListener("input", ({ target }) =>
      this.#anew(() => history.find(target.value)),
    )
    this.querySelector(".thumbs").addEventListener("click", (event) =>
      this.#choose(event.target.closest("button")?.dataset.key),
    )
  }

  #anew(act) {
    this.#shown = PAGE
    act()
  }

  #more([{ isIntersecting }]) {
    if (!isIntersecting || this.#shown >= history.pictures.length) return
    this.#shown += PAGE
    this.#draw()
  }

  #draw() {
    const { pictures } = history
    this.#folders()
    const thumbs = this.querySelector(".thumbs")
    follow(thumbs, pictures.slice(0, this.#shown), {
      key: ({ key }) => key,
      make: (picture) => this.#make(picture),
      update: (thumb, picture) => this.#update(thumb, picture),
    })
    attribute(this, "aria-busy", String(history.isLoading))
    const empty = this.querySelector("[data-part=empty]")
    empty.hidden = pictures.length > 0
    empty.textContent =
      history.failure ??
      (history.isLoading
        ? "Reading the history …"
        : history.search
          ? "No picture matches."
          : "Your pictures will appear here.")
    this.#focus.refresh()
    this.#marked = undefined
    this.#mark()
  }

  #folders() {
    const select = this.querySelector("[data-part=folder]")
    const names = ["", ...history.folders]
    if (select.dataset.names === names.join("\n")) return
    select.dataset.names = names.join("\n")
    render(select, html`${names.map((name) => html`<option value="${name}">${name || "All folders"}</option>`)}`)
    select.value = history.folder
  }

  #make(picture) {
    const { preview, metadata, path } = picture
    const role = roleName(picture)
    const said = readMetadata(metadata)?.params.prompt || path.split("/").pop()
    const name = role ? `${role}: ${said}` : said
    return element(html`<button class="thumb" type="button" tabindex="-1" title="${name}" aria-label="${name}">
      <img src="${preview}" alt="" loading="lazy" decoding="async"><span class="thumb-star">${icon("star")}</span>
      ${role && html`<span class="tile-role" aria-hidden="true">${role}</span>`}
    </button>`)
  }

  #update(thumb, { preview, starred }) {
    source(thumb.querySelector("img"), preview)
    thumb.querySelector(".thumb-star").hidden = !starred
  }

  #mark() {
    const path = selection.current?.path ?? null
    if (path === this.#marked) return
    this.#marked = path
    for (const thumb of this.querySelectorAll(".thumb"))
      attribute(thumb, "aria-pressed", String(thumb.dataset.key === path))
  }

  #choose(key) {
    const picture = history.pictures.find((known) => known.key === key)
    if (!picture) return
    selection.choose(picture, () => history.pictures)
    document.querySelector("image-stage").scrollIntoView({ block: "nearest" })
  }
}
customElements.define("history-browser", HistoryBrowser)
