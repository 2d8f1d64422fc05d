/** Doing something again and again while somebody looks. */

/**
 * Do `act` now, and again `seconds` after it has ended, as long as the page is looked at. Errors are the business of
 * `act`. Returns what ends it.
 */
export function repeat(act, seconds) {
  let timer = null
  let isOver = false
  const next = async () => {
    if (!document.hidden) await act()
    if (!isOver) timer = setTimeout(next, seconds * 1000)
  }
  next()
  return () => {
    isOver = true
    clearTimeout(timer)
  }
}
