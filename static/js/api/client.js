/** Calls to POST API/<route>: one session for the page, renewed when the server no longer knows it. */

const TRIES = 3
const NOBODY = "Invalid or unauthorized."

/** A refusal, in the server's own sentence. `id` is the wire's error_id, or "unreachable" when nothing answered. */
export class ApiError extends Error {
  constructor(sentence, id = null) {
    super(sentence)
    this.name = "ApiError"
    this.id = id
  }
}

export class Client {
  #base
  #fetch
  #memory
  #session = null
  #onNobody

  /**
   * @param {{base: string, fetch: typeof fetch, memory: import("../lib/storage.js").Memory}} needs
   * `base` is the folder the page was served from, so that everything works below any prefix. `onNobody` is called when
   * the server wants a login.
   */
  constructor({ base, fetch, memory, onNobody = () => {} }) {
    this.#base = base
    this.#onNobody = onNobody
    this.#fetch = fetch
    this.#memory = memory
  }

  /** The answer of GetNewSession. A reload keeps its session, so that its pictures can still be interrupted. */
  session() {
    const kept = this.#session === null ? this.#memory.read("session") : null
    this.#session ??= kept ? Promise.resolve(kept) : this.#open()
    return this.#session
  }

  /** Remember no session: whoever used this tab has left. */
  forget() {
    this.#session = null
    this.#memory.forget("session")
  }

  /** Replace `stale`. Of several calls that were refused together, the first one asks for a new session. */
  async renew(stale) {
    const asked = this.session()
    const isStale = (await asked).session_id === stale.session_id
    if (isStale && this.#session === asked) this.#session = this.#open()
    return this.#session
  }

  /** The answer of `route`; throws ApiError with the server's sentence. */
  async call(route, body = {}) {
    for (let attempt = 1; ; attempt++) {
      const session = await this.session()
      try {
        return await this.#post(route, { ...body, session_id: session.session_id })
      } catch (error) {
        if (error.id !== "invalid_session_id" || attempt === TRIES) throw error
        await this.renew(session)
      }
    }
  }

  /** The address of a generation socket, ws: or wss: as the page came. */
  socketUrl(route) {
    const url = new URL(`API/${route}`, this.#base)
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:"
    return url.href
  }

  async #open() {
    this.#memory.forget("session")
    try {
      const session = await this.#post("GetNewSession", {})
      this.#memory.write("session", session)
      return session
    } catch (error) {
      this.#session = null
      if (error.message === NOBODY) this.#onNobody()
      throw error
    }
  }

  async #post(route, body) {
    const answer = await this.#answer(route, body)
    let json
    try {
      json = await answer.json()
    } catch {
      throw new ApiError(`The server answered ${answer.status} without saying why.`, "no_json")
    }
    if (json?.error || json?.error_id)
      throw new ApiError(json.error ?? `The server refused: ${json.error_id}.`, json.error_id)
    return json
  }

  async #answer(route, body) {
    const request = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }
    try {
      return await this.#fetch(new URL(`API/${route}`, this.#base).href, request)
    } catch {
      throw new ApiError("The server does not answer. Is it still running?", "unreachable")
    }
  }
}
