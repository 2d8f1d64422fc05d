/** The smallest state that can be watched. */

/** Holds one frozen value; `update` merges a patch and fires "change" when something in it differs. */
export class Store extends EventTarget {
  #value

  constructor(value) {
    super()
    this.#value = Object.freeze({ ...value })
  }

  get value() {
    return this.#value
  }

  update(patch) {
    const differs = Object.keys(patch).some((key) => this.#value[key] !== patch[key])
    if (!differs) return
    this.#value = Object.freeze({ ...this.#value, ...patch })
    this.dispatchEvent(new Event("change"))
  }
}

/** Call `act` now and after every change of `source`, until `signal` aborts. */
export function watch(source, act, signal) {
  source.addEventListener("change", act, { signal })
  act()
}
