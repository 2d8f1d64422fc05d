/** The pictures on the server's disk, as ListImages gives them. Fires "change". */

import { fromHistory } from "./pictures.js"

const DEPTH = 8

/** How the listing can be ordered; `reverse` is the wire's sortReverse. */
export const ORDERS = [
  { id: "newest", name: "Newest first", sortBy: "Date", reverse: false },
  { id: "oldest", name: "Oldest first", sortBy: "Date", reverse: true },
  { id: "name", name: "By name", sortBy: "Name", reverse: true },
]

export class History extends EventTarget {
  #client
  #items = []
  #folders = new Set()
  #request = 0

  folder = ""
  order = ORDERS[0].id
  search = ""
  isLoading = true
  /** The sentence of the last failure, or null. */
  failure = null

  constructor({ client }) {
    super()
    this.#client = client
  }

  /** The pictures of the chosen folder that contain every word of the search. */
  get pictures() {
    const words = this.search.toLowerCase().split(/\s+/).filter(Boolean)
    if (!words.length) return this.#items
    return this.#items.filter((item) => {
      const text = `${item.path} ${item.metadata ?? ""}`.toLowerCase()
      return words.every((word) => text.includes(word))
    })
  }

  get folders() {
    return [...this.#folders].sort((one, other) => other.localeCompare(one))
  }

  /** Read the folder again. Of overlapping readings the last one counts. */
  async refresh() {
    const request = ++this.#request
    this.isLoading = true
    this.#changed()
    try {
      const session = await this.#client.session()
      const answer = await this.#client.call("ListImages", this.#asked())
      if (request !== this.#request) return
      const folder = this.folder
      for (const name of answer.folders) this.#folders.add(folder ? `${folder}/${name}` : name)
      this.#items = answer.files.map((file) => fromHistory(file, folder, session))
      this.failure = null
    } catch (error) {
      if (request !== this.#request) return
      this.failure = error.message
    }
    this.isLoading = false
    this.#changed()
  }

  open(folder) {
    this.folder = folder
    return this.refresh()
  }

  sort(order) {
    this.order = order
    return this.refresh()
  }

  find(search) {
    this.search = search
    this.#changed()
  }

  /** A picture that was just made: it is the newest, so nothing needs to be read again. */
  add(picture) {
    if (
      picture.path === null ||
      !this.#contains(picture.path) ||
      this.#items.some((item) => item.path === picture.path)
    )
      return
    const parts = picture.path.split("/").slice(0, -1)
    parts.forEach((_part, index) => this.#folders.add(parts.slice(0, index + 1).join("/")))
    const item = { ...picture, key: picture.path }
    this.#items = this.order === "newest" ? [item, ...this.#items] : [...this.#items, item]
    this.#changed()
  }

  remove(path) {
    this.#items = this.#items.filter((item) => item.path !== path)
    this.#changed()
  }

  mark(path, starred) {
    this.#items = this.#items.map((item) => (item.path === path ? { ...item, starred } : item))
    this.#changed()
  }

  #asked() {
    const order = ORDERS.find(({ id }) => id === this.order)
    return { path: this.folder, depth: DEPTH, sortBy: order.sortBy, sortReverse: order.reverse }
  }

  #contains(path) {
    return this.folder === "" || path.startsWith(`${this.folder}/`)
  }

  #changed() {
    this.dispatchEvent(new Event("change"))
  }
}
