/** Models on their way from the internet, those that this page has asked for. Fires "change". */

import { messages } from "../api/stream.js"

const TRIES = 3

/**
 * @typedef {object} Download
 * @property {string} key
 * @property {{url: string, type: string, name: string}} wanted
 * @property {"running"|"done"|"failed"|"cancelled"} state
 * @property {number} share      0 to 1
 * @property {number} perSecond  bytes
 * @property {string} error      the server's sentence
 */
export class Downloads extends EventTarget {
  #client
  #connect
  #sockets = new Map()
  #count = 0
  /** @type {Download[]} the latest first */
  list = []

  constructor({ client, connect = (url) => new WebSocket(url) }) {
    super()
    this.#client = client
    this.#connect = connect
  }

  /** Begin a download. Resolves when it has ended, however it did. */
  start(wanted) {
    const key = String(++this.#count)
    this.list = [{ key, wanted, state: "running", share: 0, perSecond: 0, error: "" }, ...this.list]
    this.#change()
    return this.#follow(key, wanted)
  }

  /** Stop it, and have what was fetched removed. */
  cancel(key) {
    const socket = this.#sockets.get(key)
    if (socket?.readyState !== 1) return
    this.#update(key, { state: "cancelled" })
    socket.send(JSON.stringify({ signal: "cancel" }))
  }

  /** Take one that has ended off the list. */
  forget(key) {
    this.list = this.list.filter((each) => each.key !== key || each.state === "running")
    this.#change()
  }

  async #follow(key, wanted) {
    try {
      for (let attempt = 1; attempt <= TRIES; attempt++) {
        const session = await this.#client.session()
        if (await this.#listen(key, { ...wanted, session_id: session.session_id })) return
        await this.#client.renew(session)
      }
    } catch (error) {
      this.#fail(
        key,
        error.name === "ConnectionLost"
          ? "The connection was lost. The same download goes on where it ended."
          : error.message,
      )
    } finally {
      this.#sockets.delete(key)
    }
  }

  /** False when the server does not know the session any more. */
  async #listen(key, request) {
    const socket = this.#connect(this.#client.socketUrl("DoModelDownloadWS"))
    this.#sockets.set(key, socket)
    for await (const message of messages(socket, request)) {
      if (message.error_id === "invalid_session_id") return false
      if (message.current_percent !== undefined)
        this.#update(key, { share: message.current_percent, perSecond: message.per_second ?? 0 })
      if (message.success) this.#update(key, { state: "done", share: 1 })
      if (message.error) this.#fail(key, message.error)
    }
    if (this.#find(key).state === "running") this.#fail(key, "The server ended the download without saying why.")
    return true
  }

  #fail(key, error) {
    if (this.#find(key).state === "running") this.#update(key, { state: "failed", error })
  }

  #find(key) {
    return this.list.find((each) => each.key === key)
  }

  #update(key, patch) {
    this.list = this.list.map((each) => (each.key === key ? { ...each, ...patch } : each))
    this.#change()
  }

  #change() {
    this.dispatchEvent(new Event("change"))
  }
}
