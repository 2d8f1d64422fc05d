/** Light, dark, or as the system has it. */

import { iconButton } from "../lib/controls.js"
import { render } from "../lib/html.js"
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
    render(this, iconButton(ICONS[theme.id], `Theme: ${theme.name}. Change`, { act: "theme", look: "button--quiet" }))
  }
}
customElements.define("theme-switch", ThemeSwitch)
