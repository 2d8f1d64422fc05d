/** What the browser remembers. A browser that refuses storage, or has none left, only forgets: nothing else breaks. */

const PREFIX = "swarm."

/** A named place in `area` (localStorage or sessionStorage) for one JSON value. */
export class Memory {
  #area
  constructor(area) {
    this.#area = area
  }

  read(name, fallback = null) {
    try {
      const text = this.#area.getItem(PREFIX + name)
      return text === null ? fallback : JSON.parse(text)
    } catch {
      return fallback
    }
  }

  write(name, value) {
    try {
      this.#area.setItem(PREFIX + name, JSON.stringify(value))
    } catch {
      // Private windows and full disks: the page works, it only does not remember.
    }
  }

  forget(name) {
    try {
      this.#area.removeItem(PREFIX + name)
    } catch {
      // As above.
    }
  }
}

/** The memory of this browser: "local" outlives the tab, "session" does not. */
export function memory(kind) {
  try {
    return new Memory(kind === "session" ? sessionStorage : localStorage)
  } catch {
    return new Memory(null)
  }
}
