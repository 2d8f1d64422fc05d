/** One tab stop for a whole list: arrow keys, Home and End move inside it (ARIA practices, "roving tabindex"). */

const STEPS = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }

function columns(items) {
  const top = items[0].offsetTop
  const second = items.findIndex((item) => item.offsetTop > top)
  return second < 0 ? items.length : second
}

/** Where a key leads from `index` in a list of `count` in rows of `width`; null for keys that do not move. */
export function destination(key, index, count, width) {
  const step = STEPS[key] ?? { ArrowDown: width, ArrowUp: -width }[key]
  if (step === undefined) return null
  if (Math.abs(step) === Infinity) return step < 0 ? 0 : count - 1
  const wanted = index + step
  return wanted < 0 || wanted >= count ? index : wanted
}

/** Let the arrow keys move between the elements of `container` that match `selector`. */
export function roving(container, selector, signal) {
  const items = () => [...container.querySelectorAll(selector)]
  const aim = (chosen) => {
    for (const item of items()) item.tabIndex = item === chosen ? 0 : -1
  }
  container.addEventListener(
    "focusin",
    (event) => {
      const item = event.target.closest(selector)
      if (item) aim(item)
    },
    { signal },
  )
  container.addEventListener(
    "keydown",
    (event) => {
      const list = items()
      const index = list.indexOf(event.target)
      if (index < 0 || event.ctrlKey || event.metaKey || event.altKey) return
      const next = destination(event.key, index, list.length, columns(list))
      if (next === null) return
      event.preventDefault()
      list[next].focus()
    },
    { signal },
  )
  return {
    /** Call after the list has changed: exactly one of its elements stays reachable by Tab. */
    refresh() {
      const list = items()
      if (list.length && !list.some((item) => item.tabIndex === 0)) list[0].tabIndex = 0
    },
  }
}
