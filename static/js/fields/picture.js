/** A picture from this computer: chosen, dropped or pasted, shown small, and taken away again. */

import { ACCEPTED, pictureOf, readPicture, sizeOf } from "../lib/files.js"
import { element, html } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { notices, params } from "../state/app.js"

export const layout = "stack"

export function make(param, change) {
  const whole = element(html`<div class="picture-field">
    <label class="drop">
      <input class="visually-hidden" type="file" accept="${ACCEPTED}">
      <span class="drop-hint">${icon("picture")}<span>Drop a picture, paste it, or <u>choose a file</u></span></span>
      <img alt="" hidden>
    </label>
    <div class="picture-field-acts" hidden>
      <span class="muted" data-part="size"></span>
      <button class="button button--small" type="button" data-act="size">Use its size</button>
      <button class="button button--small" type="button" data-act="clear">${icon("close")}Remove</button>
    </div>
  </div>`)
  const input = whole.querySelector("input")
  const field = new PictureField(param, whole, change)
  input.addEventListener("change", () => field.take(input.files[0]))
  whole.addEventListener("dragover", (event) => field.hover(event, true))
  whole.addEventListener("dragleave", (event) => field.hover(event, false))
  whole.addEventListener("drop", (event) => field.drop(event))
  whole.addEventListener("paste", (event) => field.take(pictureOf(event.clipboardData)))
  whole.addEventListener("click", (event) => field.act(event.target.closest("button")?.dataset.act))
  return { element: whole, control: input, show: (value) => field.show(value) }
}

class PictureField {
  #param
  #whole
  #change
  #size = null
  #shown = ""

  constructor(param, whole, change) {
    this.#param = param
    this.#whole = whole
    this.#change = change
  }

  async take(file) {
    if (!file) return
    try {
      this.#change(await readPicture(file))
    } catch (error) {
      notices.fail(error)
    }
  }

  hover(event, isOver) {
    event.preventDefault()
    this.#whole.classList.toggle("is-over", isOver)
  }

  drop(event) {
    this.hover(event, false)
    this.take(pictureOf(event.dataTransfer))
  }

  act(name) {
    if (name === "clear") this.#change("")
    if (name === "size" && this.#size) {
      params.set("width", String(this.#size.width))
      params.set("height", String(this.#size.height))
    }
  }

  async show(value) {
    if (value === this.#shown) return
    this.#shown = value
    const image = this.#whole.querySelector("img")
    const find = (selector) => this.#whole.querySelector(selector)
    image.hidden = !value
    find(".drop-hint").hidden = Boolean(value)
    find(".picture-field-acts").hidden = !value
    find("[data-act=size]").hidden = this.#param.id !== "initimage" || !params.has("width")
    if (!value) {
      find("input").value = ""
      return
    }
    image.src = value
    this.#size = await sizeOf(value)
    find("[data-part=size]").textContent = `${this.#size.width} × ${this.#size.height}`
  }
}
