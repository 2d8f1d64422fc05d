/** The server, for those who look after it: each part is an element with `show` and `hide`. */

import "./backend-admin.js"
import "./log-view.js"
import "./machine-view.js"
import "./model-admin.js"
import "./model-downloads.js"
import "./settings-admin.js"
import "./trash-list.js"
import { html, render } from "../lib/html.js"
import { panel, say } from "../lib/panel.js"
import { roving } from "../lib/roving.js"
import { may } from "../state/app.js"

/** `needs`: one of these is enough. What only looks after the server needs the Server tab as well. */
const PARTS = [
  { id: "backend-admin", name: "Backends", isServer: true, needs: ["view_backends_list"] },
  { id: "model-admin", name: "Models", needs: ["edit_model_metadata", "delete_models", "load_models_now"] },
  { id: "model-downloads", name: "Downloads", needs: ["download_models"] },
  { id: "trash-list", name: "Trash", needs: ["delete_models"] },
  { id: "machine-view", name: "Machine", isServer: true, needs: ["read_server_info_panels", "restart", "shutdown"] },
  { id: "log-view", name: "Log", isServer: true, needs: ["view_logs"] },
  { id: "settings-admin", name: "Settings", isServer: true, needs: ["read_server_settings"] },
]

/** The parts that this user has something to do with. */
export function serverParts() {
  return PARTS.filter(({ needs, isServer }) => needs.some(may) && (!isServer || may("view_server_tab")))
}

class ServerDialog extends HTMLElement {
  #stop
  #tabs
  #shown = null

  connectedCallback() {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    render(
      this,
      panel(
        "Server",
        html`<div class="panel-tabs" role="tablist" aria-label="Part of the server"></div>
        ${PARTS.map(({ id }) => html`<div id="part-${id}" role="tabpanel" aria-labelledby="tab-${id}" hidden></div>`)}`,
        "panel--wide",
      ),
    )
    const tabs = this.querySelector("[role=tablist]")
    this.#tabs = roving(tabs, "[role=tab]", signal)
    tabs.addEventListener("click", ({ target }) => {
      const tab = target.closest("[role=tab]")
      if (tab) this.#choose(tab.dataset.part)
    })
    this.querySelector("[data-act=close]").addEventListener("click", () => this.querySelector("dialog").close())
    this.querySelector("dialog").addEventListener(
      "close",
      (event) => event.target === event.currentTarget && this.#leave(),
    )
  }

  disconnectedCallback() {
    this.#stop.abort()
    this.#leave()
  }

  open() {
    const parts = serverParts()
    render(
      this.querySelector("[role=tablist]"),
      html`${parts.map(
        ({ id, name }) => html`<button class="button" type="button" role="tab" id="tab-${id}" data-part="${id}"
          aria-controls="part-${id}" aria-selected="false" tabindex="-1">${name}</button>`,
      )}`,
    )
    this.querySelector("dialog").showModal()
    this.#choose(parts[0].id)
    this.#tabs.refresh()
    this.querySelector("[role=tab]").focus()
  }

  #choose(id) {
    this.#leave()
    say(this.querySelector(".panel-said"), "")
    for (const tab of this.querySelectorAll("[role=tab]")) {
      const isChosen = tab.dataset.part === id
      tab.setAttribute("aria-selected", String(isChosen))
      tab.tabIndex = isChosen ? 0 : -1
    }
    for (const place of this.querySelectorAll("[role=tabpanel]")) place.hidden = place.id !== `part-${id}`
    const place = this.querySelector(`#part-${id}`)
    if (!place.firstElementChild) place.append(document.createElement(id))
    this.#shown = place.firstElementChild
    this.#shown.show()
  }

  #leave() {
    this.#shown?.hide()
    this.#shown = null
  }
}
customElements.define("server-dialog", ServerDialog)
