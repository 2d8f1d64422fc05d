/** Light, dark, or as the system has it. */

import { html, render } from "../lib/html.js"
import { icon } from "../lib/icons.js"
import { settings } from "../state/app.js"

const THEMES = [
  { id: "system", name: "As the system" },
  { id: "light", name: "Light" },
  { id: "dark", name: "Dark" },
]
const ICONS = { system: "system", light: "sun", dark: "moon" }

class ThemeSwitch extends HTMLElement {
  connectedCallback() {
    this.#show(settings.read("theme", "system"))
    this.addEventListener("click", () => {
      const index = THEMES.findIndex((theme) => theme.id === this.dataset.theme)
      const { id } = THEMES[(index + 1) % THEMES.length]
      settings.write("theme", id)
      this.#show(id)
      this.querySelector("button").focus()
    })
  }

  #show(id) {
    const theme = THEMES.find((known) => known.id === id) ?? THEMES[0]
    this.dataset.theme = theme.id
    if (theme.id === "system") delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme.id
    render(this, html`<button class="button button--icon button--quiet" type="button" aria-label="Theme: ${theme.name}. Change" title="Theme: ${theme.name}">${icon(ICONS[theme.id])}</button>`)
  }
}
customElements.define("theme-switch", ThemeSwitch)
