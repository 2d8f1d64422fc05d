/** What the server says about itself: asked for now and then, and taken from every socket. Fires "change". */

import { Store } from "./store.js"

const NOTHING = { waiting_gens: 0, loading_models: 0, waiting_backends: 0, live_gens: 0 }
const BUSY_SECONDS = 2
const IDLE_SECONDS = 10

export class Connection extends Store {
  #client
  #timer = null
  #later

  constructor({ client, later = (act, seconds) => setTimeout(act, seconds * 1000) }) {
    super({ reachable: true, counts: NOTHING, backend: null, features: [], notices: [] })
    this.#client = client
    this.#later = later
  }

  /** Waiting and running pictures of this session, wherever they were started. */
  get isBusy() {
    return this.value.counts.waiting_gens > 0
  }

  /** A status message from a socket. */
  take({ status, backend_status: backend, supported_features: features, notices = this.value.notices }) {
    this.update({ reachable: true, counts: status, backend, features, notices })
  }

  /** Ask, and ask again: soon while something goes on, seldom otherwise. */
  async poll() {
    clearTimeout(this.#timer)
    try {
      this.take(await this.#client.call("GetCurrentStatus"))
    } catch (error) {
      this.update({ reachable: error.id !== "unreachable" })
    }
    const isCalm = this.value.reachable && !this.isBusy && !this.value.backend?.any_loading
    clearTimeout(this.#timer)
    this.#timer = this.#later(() => this.poll(), isCalm ? IDLE_SECONDS : BUSY_SECONDS)
  }
}

/** The status as one line, and how serious it is: "", "soft", "warn" or "error". */
export function statusLine({ reachable, counts, backend }) {
  if (!reachable) return { text: "No connection to the server. Trying again …", level: "error" }
  if (!backend) return { text: "Connecting …", level: "soft" }
  if (counts.loading_models > 0) return { text: `Loading a model${waitingText(counts)}`, level: "soft" }
  if (counts.live_gens > 0) return { text: `Making ${counts.live_gens}${waitingText(counts)}`, level: "busy" }
  if (counts.waiting_gens > 0 && backend.class !== "error")
    return { text: `${counts.waiting_gens} waiting`, level: "busy" }
  if (backend.message) return { text: backend.message, level: backend.class }
  return { text: backend.class === "" ? "Ready" : backend.status.replaceAll("_", " "), level: backend.class }
}

function waitingText({ waiting_gens: all, live_gens: live }) {
  const waiting = all - live
  return waiting > 0 ? ` · ${waiting} waiting` : ""
}
