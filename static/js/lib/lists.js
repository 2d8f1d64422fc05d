/** Lists with one thing elsewhere. The given list stays as it is. */

/** `list` with the element at `from` at the place `to`; places outside mean the nearest end. */
export function moved(list, from, to) {
  const rest = list.toSpliced(from, 1)
  return rest.toSpliced(Math.min(Math.max(to, 0), rest.length), 0, list[from])
}

/** `list` without the element at `index`. */
export function without(list, index) {
  return list.toSpliced(index, 1)
}
