/** Several pictures from this computer: chosen, dropped or pasted, in an order, each to be moved or taken away. */

import { iconButton } from "../lib/controls.js"
import { attribute } from "../lib/dom.js"
import { ACCEPTED, picturesOf, readPicture } from "../lib/files.js"
import { element, html } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { moved, without } from "../lib/lists.js"
import { notices, params } from "../state/app.js"

export const layout = "stack"

/** Add the pictures among `files` to the list of parameter `id`; what is none is told. */
export async function addPictures(id, files) {
  const read = await Promise.allSettled([...files].map(readPicture))
  for (const { reason } of read.filter(({ status }) => status === "rejected")) notices.fail(reason)
  const added = read.filter(({ status }) => status === "fulfilled").map(({ value }) => value)
  if (added.length) params.set(id, [...params.value(id), ...added])
}

/** `hint`: the words before "choose files", where no name stands above the field. */
export function make(param, change, hint = "Drop pictures, paste them, or") {
  const whole = element(html`<div class="picture-list">
    <ol class="picture-tiles" aria-label="${param.name}" hidden></ol>
    <label class="drop">
      <input class="visually-hidden" type="file" accept="${ACCEPTED}" multiple>
      <span class="drop-hint">${icon("picture")}<span>${hint} <u>choose files</u></span></span>
    </label>
  </div>`)
  const list = new PictureList(param, whole, change)
  const input = whole.querySelector("input")
  input.addEventListener("change", async () => {
    await addPictures(param.id, input.files)
    input.value = ""
  })
  return { element: whole, control: input, show: (value) => list.show(value) }
}

class PictureList {
  #param
  #whole
  #tiles
  #change
  #shown = []
  #dragged = null

  constructor(param, whole, change) {
    this.#param = param
    this.#whole = whole
    this.#tiles = whole.querySelector("ol")
    this.#change = change
    whole.addEventListener("dragover", (event) => this.#hover(event, true))
    whole.addEventListener("dragleave", (event) => this.#hover(event, false))
    whole.addEventListener("drop", (event) => this.#drop(event))
    whole.addEventListener("paste", (event) => addPictures(param.id, picturesOf(event.clipboardData)))
    this.#tiles.addEventListener("dragstart", (event) => this.#drag(event))
    this.#tiles.addEventListener("dragend", () => (this.#dragged = null))
    this.#tiles.addEventListener("click", (event) => this.#act(event.target.closest("button")))
    this.#tiles.addEventListener("keydown", (event) => this.#key(event))
  }

  show(value) {
    if (value === this.#shown) return
    this.#shown = value
    this.#tiles.hidden = value.length === 0
    this.#tiles.replaceChildren(...value.map((url, index) => this.#tile(url, index, value.length)))
  }

  #tile(url, index, count) {
    const name = `Picture ${index + 1}`
    const tile = element(html`<li class="picture-tile" draggable="true">
      <img src="${url}" alt="${name}" draggable="false">
      <div class="picture-tile-acts">
        ${iconButton("back", `${name}: move before`, { act: "before", title: "Move before" })}
        ${iconButton("close", `${name}: remove`, { act: "remove", title: "Remove" })}
        ${iconButton("chevron", `${name}: move after`, { act: "after", title: "Move after" })}
      </div>
    </li>`)
    attribute(tile.querySelector("[data-act=before]"), "disabled", index === 0)
    attribute(tile.querySelector("[data-act=after]"), "disabled", index === count - 1)
    return tile
  }

  #indexOf(inside) {
    return [...this.#tiles.children].indexOf(inside.closest("li"))
  }

  #hover(event, isOver) {
    event.preventDefault()
    this.#whole.classList.toggle("is-over", isOver)
  }

  #drag(event) {
    this.#dragged = this.#indexOf(event.target)
    event.dataTransfer.setData("text/plain", "") // Firefox drags nothing that says nothing
  }

  /** Files from outside are added; a tile of this list goes where it was let go. */
  #drop(event) {
    this.#hover(event, false)
    const target = event.target.closest("li")
    if (this.#dragged === null) addPictures(this.#param.id, picturesOf(event.dataTransfer))
    else if (target) this.#move(this.#dragged, this.#indexOf(target))
    this.#dragged = null
  }

  #act(button) {
    if (!button) return
    const index = this.#indexOf(button)
    const { act } = button.dataset
    if (act === "remove") this.#remove(index)
    else this.#move(index, index + (act === "before" ? -1 : 1), act)
  }

  #key(event) {
    if (event.key !== "Delete") return
    event.preventDefault()
    this.#remove(this.#indexOf(event.target))
  }

  #move(from, to, act = null) {
    this.#change(moved(this.#shown, from, to))
    if (act) this.#focus(to, act)
  }

  #remove(index) {
    this.#change(without(this.#shown, index))
    if (this.#shown.length) this.#focus(Math.min(index, this.#shown.length - 1), "remove")
    else this.#whole.querySelector("input").focus()
  }

  /** The tiles were made anew: go on where the keyboard was. */
  #focus(index, act) {
    const tile = this.#tiles.children[index]
    const wanted = tile.querySelector(`[data-act=${act}]`)
    ;(wanted.disabled ? tile.querySelector("[data-act=remove]") : wanted).focus()
  }
}
