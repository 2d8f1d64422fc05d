/** Make pictures, how many, stop making them, and how far they are. */

import { iconButton } from "../lib/controls.js"
import { attribute } from "../lib/dom.js"
import { counted, duration, percent } from "../lib/format.js"
import { html, render } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { connection, generate, generation, interrupt, page, params } from "../state/app.js"
import { watch } from "../state/store.js"
import { allowed } from "../fields/number.js"

const SPOKEN_SHARE = 0.25
const TITLE = document.title

class GenerateBar extends HTMLElement {
  #stop
  #spoken = ""

  connectedCallback() {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    render(
      this,
      html`
      <div class="generate-buttons">
        <button class="button button--main" type="button" data-act="generate" title="Ctrl+Enter">Generate</button>
        <button class="button button--stop" type="button" data-act="interrupt">${icon("stop")}Interrupt</button>
      </div>
      <div class="stepper" role="group" aria-label="Number of images">
        ${iconButton("minus", "One image less", { act: "fewer" })}
        <label>
          <input class="input" id="param-images" type="number" inputmode="numeric" aria-label="Images">
          <span aria-hidden="true"></span>
        </label>
        ${iconButton("plus", "One image more", { act: "more" })}
      </div>
      <div class="generate-progress">
        <progress max="1" value="0" aria-label="Progress of all pictures"></progress>
        <p data-part="progress"></p>
      </div>
      <p class="visually-hidden" role="status" aria-live="polite" data-part="spoken"></p>`,
    )
    this.addEventListener("click", (event) => this.#act(event.target.closest("button")?.dataset.act), { signal })
    const count = this.querySelector("#param-images")
    count.addEventListener("change", () => this.#count(count.value))
    for (const source of [params, generation, connection, page]) watch(source, () => this.#draw(), signal)
  }

  disconnectedCallback() {
    this.#stop.abort()
  }

  #act(name) {
    if (name === "generate") generate()
    if (name === "interrupt") interrupt()
    if (name === "fewer") this.#count(Number(params.value("images")) - 1)
    if (name === "more") this.#count(Number(params.value("images")) + 1)
  }

  #count(text) {
    const param = params.params.get("images")
    const number = param && allowed(param, text)
    if (number) params.set("images", number)
    this.#draw()
  }

  #draw() {
    const find = (act) => this.querySelector(`[data-act=${act}]`)
    const isBusy = generation.isRunning || connection.isBusy
    const images = params.value("images") ?? "1"
    attribute(find("generate"), "disabled", !page.value.isLoaded || !params.model || !connection.value.reachable)
    attribute(find("interrupt"), "disabled", !isBusy)
    attribute(find("fewer"), "disabled", Number(images) <= 1)
    this.querySelector(".stepper").hidden = !params.has("images")
    const count = this.querySelector("#param-images")
    if (document.activeElement !== count || count.value !== "") count.value = images
    this.querySelector(".stepper span").textContent = Number(images) === 1 ? "image" : "images"
    this.classList.toggle("is-running", generation.isRunning)
    this.#progress()
  }

  #progress() {
    const { expected, done, fraction, secondsLeft } = generation.progress
    const bar = this.querySelector("progress")
    const left = secondsLeft === null ? "" : ` · about ${duration(secondsLeft)} left`
    bar.value = fraction
    document.title = generation.isRunning ? `${percent(fraction)} · ${TITLE}` : TITLE
    this.querySelector("[data-part=progress]").textContent = generation.isRunning
      ? `${done} of ${expected} · ${percent(fraction)}${left}`
      : ""
    const share = Math.floor(fraction / SPOKEN_SHARE) * SPOKEN_SHARE
    this.#speak(generation.isRunning ? `${done} of ${counted(expected, "picture")} done, ${percent(share)}` : "")
  }

  /** Say it once, and in large steps only, so that a screen reader is not talking all the time. */
  #speak(text) {
    if (text === this.#spoken) return
    this.querySelector("[data-part=spoken]").textContent = text || (this.#spoken && "The pictures are done.")
    this.#spoken = text
  }
}
customElements.define("generate-bar", GenerateBar)
