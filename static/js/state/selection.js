/** The picture on the stage, and the list it came from. Fires "change". */

export class Selection extends EventTarget {
  #current = null
  #list = () => []
  #follows = true

  /** @type {import("../api/types.js").Picture | null} */
  get current() {
    return this.#current
  }

  /** The user chose a picture out of `list` (a function, since lists change). The stage stays with it. */
  choose(picture, list) {
    this.#list = list
    this.#follows = false
    this.#show(picture)
  }

  /** A new run began: show what it makes, until the user chooses something else. */
  follow(list) {
    this.#list = list
    this.#follows = true
  }

  /** A picture of the running batch moved on. */
  offer(picture) {
    if (this.#follows || this.#current?.key === picture.key) this.#show(picture)
  }

  /** The neighbour `step` places away, or null at the end of the list. */
  neighbour(step) {
    const list = this.#list().filter((picture) => picture.url)
    const index = list.findIndex((picture) => picture.key === this.#current?.key)
    return index < 0 ? null : (list[index + step] ?? null)
  }

  move(step) {
    const next = this.neighbour(step)
    if (next) this.choose(next, this.#list)
  }

  /** The picture was deleted or was never finished: show its neighbour, if there is one. */
  drop(key) {
    if (this.#current?.key !== key) return
    const rest = this.#list().filter((picture) => picture.url && picture.key !== key)
    this.#show(this.neighbour(1) ?? this.neighbour(-1) ?? rest.at(-1) ?? null)
  }

  mark(path, starred) {
    if (this.#current?.path === path) this.#show({ ...this.#current, starred })
  }

  #show(picture) {
    this.#current = picture
    this.dispatchEvent(new Event("change"))
  }
}
