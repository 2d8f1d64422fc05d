/** The server's log as it grows. */

import { searchBox } from "../lib/controls.js"
import { follow } from "../lib/dom.js"
import { element, html, render } from "../lib/html.js"
import { holds, joined, plain } from "../lib/log-lines.js"
import { refresh } from "../lib/panel.js"
import { repeat } from "../lib/repeat.js"
import { client } from "../state/app.js"

const SECONDS = 2
const MOST = 2000
const QUIET = ["Verbose", "Debug"]
const CHECKED = html` checked`

class LogView extends HTMLElement {
  #lines = []
  #last = {}
  #end = () => {}

  connectedCallback() {
    render(
      this,
      html`<div class="panel-part">
        <div class="log-tools">${searchBox("Search in the log")}
          <button class="button" type="button" data-act="save">Save as a file</button></div>
        <fieldset class="log-levels"><legend>Show</legend></fieldset>
        <ol class="log-lines" tabindex="0" aria-label="Lines of the log"></ol>
        <p class="empty" hidden>No line to show.</p>
      </div>`,
    )
    this.addEventListener("input", () => this.#draw())
    this.addEventListener("change", ({ target }) => target.name === "level" && this.#read())
    this.querySelector("[data-act=save]").addEventListener("click", () => this.#save())
  }

  show() {
    this.#end = repeat(() => this.#read(), SECONDS)
  }

  hide() {
    this.#end()
  }

  #read() {
    return refresh(this, async () => {
      if (!this.querySelector("[name=level]")) await this.#readLevels()
      const types = this.#levels()
      const answer = await client.call("ListRecentLogMessages", { types, last_sequence_ids: this.#last })
      for (const type of types) this.#last[type] = answer.last_sequence_id
      this.#lines = joined(this.#lines, answer.data, MOST)
      this.#draw()
    })
  }

  async #readLevels() {
    const { types_available: types } = await client.call("ListLogTypes")
    const boxes = types.map(
      ({ name }) =>
        html`<label class="panel-check" data-level="${name}"><input type="checkbox" name="level" value="${name}"${
          QUIET.includes(name) ? "" : CHECKED
        }> ${name}</label>`,
    )
    const place = this.querySelector(".log-levels")
    place.replaceChildren(place.querySelector("legend"), ...boxes.map(element))
  }

  #levels() {
    return [...this.querySelectorAll("[name=level]:checked")].map(({ value }) => value)
  }

  #shown() {
    const levels = new Set(this.#levels())
    const words = this.querySelector("[type=search]").value.toLowerCase().split(/\s+/).filter(Boolean)
    return this.#lines.filter((line) => levels.has(line.level) && holds(line, words))
  }

  #draw() {
    const place = this.querySelector("ol")
    const isAtEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 24
    const lines = this.#shown()
    follow(place, lines, { key: ({ sequence_id }) => String(sequence_id), make: (line) => element(entry(line)) })
    place.hidden = lines.length === 0
    this.querySelector(".empty").hidden = lines.length > 0
    if (isAtEnd) place.scrollTop = place.scrollHeight
  }

  #save() {
    const url = URL.createObjectURL(new Blob([`${this.#shown().map(plain).join("\n")}\n`], { type: "text/plain" }))
    const link = document.createElement("a")
    link.href = url
    link.download = "swarm.log"
    link.click()
    setTimeout(() => URL.revokeObjectURL(url), 60_000)
  }
}
customElements.define("log-view", LogView)

function entry({ time, level, message }) {
  return html`<li data-level="${level}"><span class="muted">${time}</span> <strong>${level}</strong> ${message}</li>`
}
