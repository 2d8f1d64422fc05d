/** Marks what of the init image shall be made anew, over the whole window. The result is the parameter maskimage. */

import "./mask-surface.js"
import { iconButton } from "../lib/controls.js"
import { attribute } from "../lib/dom.js"
import { html, render } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { notices, params } from "../state/app.js"

const ZOOM = 1.25
const GROW = 1.25
const STEPS = new Set(["undo", "redo", "fill", "clear", "invert"])
const KEYS = { b: "brush", e: "eraser", i: "invert", f: "fill", x: "clear", "+": "closer", "=": "closer", "-": "farther" }
const MORE_KEYS = { 0: "fit", "[": "smaller", "]": "larger" }

function tool(act, drawing, name, key) {
  return html`<button class="button" type="button" data-act="${act}" aria-pressed="false" title="${name} (${key})">
    ${icon(drawing)}${name}
  </button>`
}

function command(act, name, key) {
  return html`<button class="button" type="button" data-act="${act}" title="${name} (${key})">${name}</button>`
}

class MaskEditor extends HTMLElement {
  #dialog
  #surface

  connectedCallback() {
    render(
      this,
      html`<dialog class="mask-editor" aria-label="Mask editor">
      <div class="mask-tools" role="toolbar" aria-label="Mask tools">
        <div class="mask-set">${tool("brush", "brush", "Brush", "B")}${tool("eraser", "eraser", "Eraser", "E")}</div>
        <label class="mask-size" title="[ and ] change it"><span>Size</span>
          <input class="slider" type="range" min="1" max="512" value="64" aria-label="Brush size in pixels">
          <output>64</output>
        </label>
        <div class="mask-set">
          ${iconButton("undo", "Undo", { act: "undo", title: "Undo (Ctrl+Z)" })}
          ${iconButton("redo", "Redo", { act: "redo", title: "Redo (Ctrl+Shift+Z)" })}
        </div>
        <div class="mask-set">
          ${command("invert", "Invert", "I")}${command("fill", "Fill", "F")}${command("clear", "Clear", "X")}
        </div>
        <div class="mask-set">
          ${iconButton("minus", "Smaller", { act: "farther", title: "See more (-)" })}
          <button class="button mask-scale" type="button" data-act="fit" aria-label="See the whole picture" title="See the whole picture (0)"></button>
          ${iconButton("plus", "Larger", { act: "closer", title: "See it closer (+)" })}
        </div>
        <div class="mask-set mask-set--end">
          <button class="button" type="button" data-act="cancel">Cancel</button>
          <button class="button button--main" type="button" data-act="use">Use this mask</button>
        </div>
      </div>
      <mask-surface></mask-surface>
      <p class="mask-hint">What is coloured will be made anew. The wheel or two fingers zoom, the middle button moves.</p>
    </dialog>`,
    )
    this.#dialog = this.querySelector("dialog")
    this.#surface = this.querySelector("mask-surface")
    this.#listen()
  }

  /** Draw on the init image. Resolves when the editor is open. */
  async open() {
    this.#dialog.showModal()
    try {
      await this.#surface.open(params.value("initimage"), params.value("maskimage"))
    } catch {
      this.#dialog.close()
      notices.fail("The init image or its mask could not be opened.")
    }
  }

  #listen() {
    this.#dialog.addEventListener("click", (event) => this.#act(event.target.closest("button")?.dataset.act))
    this.#dialog.addEventListener("keydown", (event) => this.#key(event))
    this.#dialog.addEventListener("cancel", (event) => {
      if (event.target !== this.#dialog) return
      event.preventDefault()
      this.#cancel()
    })
    this.querySelector("input").addEventListener("input", ({ target }) => this.#resize(Number(target.value)))
    this.#surface.addEventListener("change", () => this.#draw())
    this.#resize(this.#surface.brush.size)
    this.#choose(false)
  }

  #act(name) {
    const surface = this.#surface
    if (name === "cancel") this.#cancel()
    if (!surface.drawing) return
    if (STEPS.has(name)) surface.act(name)
    if (name === "brush" || name === "eraser") this.#choose(name === "eraser")
    if (name === "smaller") this.#resize(surface.brush.size / GROW)
    if (name === "larger") this.#resize(Math.max(surface.brush.size + 1, surface.brush.size * GROW))
    if (name === "closer") surface.zoom(ZOOM)
    if (name === "farther") surface.zoom(1 / ZOOM)
    if (name === "fit") surface.fit()
    if (name === "use") this.#use()
  }

  #key(event) {
    const key = event.key.toLowerCase()
    const isCommand = event.ctrlKey || event.metaKey
    const act = isCommand
      ? { z: event.shiftKey ? "redo" : "undo", y: "redo", enter: "use" }[key]
      : (KEYS[key] ?? MORE_KEYS[key])
    if (!act || event.altKey) return
    event.preventDefault()
    this.#act(act)
  }

  #choose(erase) {
    this.#surface.brush.erase = erase
    attribute(this.querySelector("[data-act=brush]"), "aria-pressed", String(!erase))
    attribute(this.querySelector("[data-act=eraser]"), "aria-pressed", String(erase))
  }

  #resize(wanted) {
    const slider = this.querySelector("input")
    slider.value = Math.round(wanted)
    slider.style.setProperty("--fill", `${(slider.value / slider.max) * 100}%`)
    this.#surface.brush.size = Number(slider.value)
    this.querySelector("output").textContent = slider.value
    this.#surface.refresh()
  }

  #draw() {
    const { drawing, scale } = this.#surface
    this.querySelector(".mask-scale").textContent = `${Math.round(scale * 100)}%`
    attribute(this.querySelector("[data-act=undo]"), "disabled", !drawing.canUndo)
    attribute(this.querySelector("[data-act=redo]"), "disabled", !drawing.canRedo)
  }

  async #use() {
    try {
      const mask = await this.#surface.url()
      params.set("maskimage", mask)
      notices.say(mask ? "What is marked will be made anew." : "Nothing is marked: the whole picture will be made anew.")
      this.#dialog.close()
    } catch (error) {
      notices.fail(error)
    }
  }

  async #cancel() {
    const isChanged = this.#surface.drawing?.canUndo
    const ask = () => document.querySelector("confirm-dialog").ask("Forget what you drew?", "Forget it")
    if (!isChanged || (await ask())) this.#dialog.close()
  }
}
customElements.define("mask-editor", MaskEditor)
