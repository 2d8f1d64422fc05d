/** The machine the server runs on, who is connected, and stopping the server. */

import { follow } from "../lib/dom.js"
import { bytes, counted, percent } from "../lib/format.js"
import { element, html, render } from "../lib/html.js"
import { attempt, refresh } from "../lib/panel.js"
import { repeat } from "../lib/repeat.js"
import { client, connection, may } from "../state/app.js"

const SECONDS = 3
const ENDS = {
  restart: {
    question: "Start the server anew? Pictures that are being made are finished first; what waits is made afterwards.",
    verb: "Restart",
    route: "UpdateAndRestart",
    body: { force: true },
    success: "The server starts anew. This page goes on by itself.",
  },
  shutdown: {
    question: "Stop the server? It has to be started by hand. What waits is made after that.",
    verb: "Shut down",
    route: "ShutdownServer",
    body: {},
    success: "The server stops. Start it on its machine to go on.",
    isForGood: true,
  },
}

class MachineView extends HTMLElement {
  #end = () => {}

  connectedCallback() {
    render(this, frame())
    this.addEventListener("click", ({ target }) => {
      const act = target.closest("button")?.dataset.act
      if (act) this.#stopServer(ENDS[act])
    })
  }

  disconnectedCallback() {
    this.#end()
  }

  show() {
    if (may("read_server_info_panels")) this.#end = repeat(() => refresh(this, () => this.#read()), SECONDS)
  }

  hide() {
    this.#end()
  }

  async #read() {
    const [resources, { users }] = await Promise.all([
      client.call("GetServerResourceInfo"),
      client.call("ListConnectedUsers"),
    ])
    follow(this.querySelector(".gauges"), gauges(resources), {
      key: ({ name }) => name,
      make: () =>
        element(
          html`<li class="gauge"><span data-part="name"></span><progress max="1"></progress>
            <span class="muted" data-part="text"></span></li>`,
        ),
      update: showGauge,
    })
    follow(this.querySelector(".people-here"), users, {
      key: ({ id }) => id,
      make: ({ id }) => element(html`<li><strong>${id}</strong><span class="muted" data-part="text"></span></li>`),
      update: (item, user) => {
        item.querySelector("[data-part=text]").textContent = presence(user)
      },
    })
  }

  async #stopServer({ question, verb, route, body, success, isForGood }) {
    if (!(await document.querySelector("confirm-dialog").ask(question, verb))) return
    this.#end()
    const isStopping = await attempt(this, () => client.call(route, body), success)
    setTimeout(() => connection.poll(), SECONDS * 1000) // sooner than it would look by itself
    if (!isStopping || !isForGood) this.show()
  }
}
customElements.define("machine-view", MachineView)

function frame() {
  const ends = [
    may("restart") && html`<button class="button" type="button" data-act="restart">Restart the server …</button>`,
    may("shutdown") &&
      html`<button class="button button--danger" type="button" data-act="shutdown">Shut down …</button>`,
  ].filter(Boolean)
  return html`<div class="panel-part">
    ${
      may("read_server_info_panels") &&
      html`<section><h3>Resources</h3><ul class="gauges"></ul></section>
      <section><h3>Connected</h3><ul class="panel-list people-here"></ul></section>`
    }
    ${ends.length > 0 && html`<p class="panel-acts">${ends}</p>`}
  </div>`
}

function showGauge(item, { name, share, text }) {
  item.querySelector("[data-part=name]").textContent = name
  item.querySelector("[data-part=text]").textContent = text
  const bar = item.querySelector("progress")
  bar.value = share
  bar.setAttribute("aria-label", `${name}: ${text}`)
}

/** What the bars show. The server counts its own processor use in cores. */
function gauges({ cpu, system_ram: ram, gpus = {} }) {
  const memory = (used, total) => ({ share: total ? used / total : 0, text: `${bytes(used)} of ${bytes(total)}` })
  const devices = Object.values(gpus).flatMap((gpu) => [
    {
      name: `${gpu.name} (${gpu.id})`,
      share: gpu.utilization_gpu / 100,
      text: `${Math.round(gpu.utilization_gpu)}% busy, ${Math.round(gpu.temperature)} °C`,
    },
    { name: `Memory of device ${gpu.id}`, ...memory(gpu.used_memory, gpu.total_memory) },
  ])
  return [
    {
      name: "Processor",
      share: cpu.usage / cpu.cores,
      text: `${percent(cpu.usage / cpu.cores)} of ${counted(cpu.cores, "core")} used by this server`,
    },
    { name: "Memory", ...memory(ram.used, ram.total) },
    ...devices,
  ]
}

function presence({ active_sessions: sessions, last_active: ago, live_gens: live, waiting_gens: all }) {
  const from = sessions.map(({ address, count }) => (count > 1 ? `${address} (${count} sessions)` : address)).join(", ")
  const work = all > 0 ? `${live} being made, ${all - live} waiting` : ""
  return [from, `active ${ago}`, work].filter(Boolean).join(" · ")
}
