/** A sound from this computer: chosen, listened to, and taken away again. The value is a data: URL, empty for none. */

import { dataUrl } from "../lib/files.js"
import { attribute } from "../lib/dom.js"
import { element, html } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { notices } from "../state/app.js"

export const layout = "stack"

const ACCEPTED = "audio/wav,audio/mpeg,audio/ogg,audio/flac,.wav,.mp3,.ogg,.flac"

export function make(param, change) {
  const whole = element(html`<div class="audio-field">
    <input class="input" type="file" accept="${ACCEPTED}">
    <div class="picture-field-acts" hidden>
      <audio controls></audio>
      <button class="button button--small" type="button">${icon("close")}Remove</button>
    </div>
  </div>`)
  const [input, acts, player] = ["input", "div", "audio"].map((name) => whole.querySelector(name))
  input.addEventListener("change", async () => {
    try {
      if (input.files[0]) change(await dataUrl(input.files[0]))
    } catch {
      notices.fail(`"${input.files[0].name}" could not be read.`)
    }
  })
  whole.querySelector("button").addEventListener("click", () => {
    change("")
    input.focus()
  })
  return {
    element: whole,
    control: input,
    show(value) {
      acts.hidden = !value
      attribute(player, "src", value || null)
      if (!value) input.value = ""
    },
  }
}
