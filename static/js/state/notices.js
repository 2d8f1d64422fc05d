/** Short messages for the person at the screen. Fires "notice". */

export class Notices extends EventTarget {
  /** Something worth knowing; it goes away by itself. */
  say(text) {
    this.#fire({ text, level: "info" })
  }

  /** Something that did not work, in the server's sentence; it stays until it is closed. */
  fail(error) {
    this.#fire({ text: typeof error === "string" ? error : error.message, level: "error" })
  }

  #fire(detail) {
    this.dispatchEvent(new CustomEvent("notice", { detail }))
  }
}
