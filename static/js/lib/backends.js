/** What the wire says about backends, in words. Knows nothing of the page. */

import { counted, modelName } from "./format.js"

const STATUS = {
  running: "Running",
  waiting: "Waiting to start",
  loading: "Starting",
  idle: "Does not answer",
  errored: "Failed",
  disabled: "Switched off",
}
const LEVELS = { running: "good", waiting: "soft", loading: "soft", idle: "warn", errored: "error", disabled: "off" }

/** How serious a status is, for its colour. */
export function levelOf(backend) {
  return LEVELS[backend.status] ?? "warn"
}

/** Backends in the order people look for them: the configured ones by number, then those that others brought along. */
export function inOrder(backends) {
  return Object.values(backends).toSorted((a, b) => (a.id < 0) - (b.id < 0) || Math.abs(a.id) - Math.abs(b.id))
}

/** What to call a backend: its title, else its kind. */
export function nameOf(backend, types) {
  return backend.title || kindOf(backend, types)
}

/** The kind of a backend as the server calls it; kinds that are not offered keep their id. */
export function kindOf(backend, types) {
  return types.find(({ id }) => id === backend.type)?.name ?? backend.type
}

/** The facts of a backend beside its name, most important first. */
export function factsOf(backend) {
  const isUp = backend.status === "running"
  return [
    STATUS[backend.status] ?? backend.status,
    isUp && backend.can_load_models && (backend.current_model ? modelName(backend.current_model) : "no model loaded"),
    isUp && backend.max_usages > 0 && `up to ${counted(backend.max_usages, "picture")} at once`,
    backend.seconds_since_used || backend.time_since_used !== "Never" ? `used ${usedText(backend)}` : "not used yet",
  ].filter(Boolean)
}

function usedText({ seconds_since_used: seconds, time_since_used: text }) {
  return seconds < 5 ? "just now" : text
}

/** One line about all of them and the work in hand (`counts`, null when that may not be seen). */
export function summary(backends, counts) {
  const all = Object.values(backends)
  if (!all.length) return "There is no backend yet: nothing can make pictures."
  const running = all.filter(({ status }) => status === "running").length
  const parts = [`${running} of ${counted(all.length, "backend")} running`]
  if (counts)
    parts.push(
      `${counted(counts.live_gens, "picture")} being made`,
      `${counts.waiting_gens - counts.live_gens} waiting`,
    )
  return parts.join(" · ")
}
