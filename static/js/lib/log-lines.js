/** Lines of the server's log from several answers, in order and without repetitions. Pure. */

/** @typedef {{sequence_id: number, time: string, message: string, level: string}} Line */

/**
 * `lines` with those of an answer of ListRecentLogMessages behind them, the latest `most` of all.
 * @param {Line[]} lines
 * @param {Record<string, Omit<Line, "level">[]>} data
 */
export function joined(lines, data, most) {
  const known = new Set(lines.map(({ sequence_id }) => sequence_id))
  const fresh = Object.entries(data).flatMap(([level, found]) => found.map((line) => ({ ...line, level })))
  const all = [...lines, ...fresh.filter(({ sequence_id }) => !known.has(sequence_id))]
  return all.toSorted((a, b) => a.sequence_id - b.sequence_id).slice(-most)
}

/** Does a line hold all these words, in any case? */
export function holds(line, words) {
  const text = `${line.level} ${line.message}`.toLowerCase()
  return words.every((word) => text.includes(word))
}

/** A line as text. */
export function plain({ time, level, message }) {
  return `${time} [${level}] ${message}`
}
