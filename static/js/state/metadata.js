/** The metadata text of a picture, read back: what was asked for, and what else is known about it. */

import { modelName } from "../lib/format.js"
import { defaultOf } from "./rules.js"

const SHORT = ["model", "seed", "steps", "cfgscale", "sampler", "scheduler"]
const PICTURES = new Set(["image", "image_list", "audio"])
const PROMPTS = new Set(["prompt", "negativeprompt"])

/** Whole numbers that a double cannot hold (long seeds) become text; what stands inside a string is left alone. */
function protectLongNumbers(text) {
  return text.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g, (part) => (part.startsWith('"') ? part : `"${part}"`))
}

/**
 * @typedef {{params: Record<string, any>, extra: Record<string, any>, starred: boolean}} Metadata
 * @returns {Metadata | null} null when the text says nothing
 */
export function readMetadata(text) {
  if (!text) return null
  if (text !== latest.text) latest = { text, metadata: parsed(text) }
  return latest.metadata
}

// The same picture is asked about by many, one after the other.
let latest = { text: null, metadata: null }

function parsed(text) {
  try {
    const tree = JSON.parse(protectLongNumbers(text))
    const { sui_image_params: params, sui_extra_data: extra, is_starred: starred } = tree
    return { params: object(params), extra: object(extra), starred: starred === true }
  } catch {
    return null
  }
}

/** A file can say anything: what should be an object and is none holds nothing. */
function object(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {}
}

function shown(value) {
  return Array.isArray(value) ? value.map(plain).join(", ") : plain(value)
}

function plain(value) {
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value)
}

/** The line under a picture: model, size, seed, steps … as far as they are known. */
export function shortFacts(metadata) {
  const { params } = metadata
  const facts = SHORT.filter((id) => id in params).map((id) => ({ id, text: fact(id, params[id]) }))
  if (params.width && params.height) {
    facts.splice(1, 0, { id: "size", text: `${plain(params.width)} × ${plain(params.height)}` })
  }
  return facts
}

function fact(id, value) {
  const text = plain(value)
  if (id === "model") return modelName(text)
  return { seed: `seed ${text}`, steps: `${text} steps`, cfgscale: `CFG ${text}` }[id] ?? text
}

/** Everything, as pairs of a name and a text: prompts first, then the parameters in their order, then the rest. */
export function allFacts(metadata, params) {
  const nameOf = (id) => params.get(id)?.name ?? sentence(id)
  const asked = Object.entries(metadata.params).map(([id, value]) => ({ id, name: nameOf(id), text: shown(value) }))
  const others = Object.entries(metadata.extra).map(([id, value]) => ({ id, name: sentence(id), text: shown(value) }))
  const filled = [...asked, ...others].filter((fact) => fact.text !== "")
  return [...filled.filter((fact) => PROMPTS.has(fact.id)), ...filled.filter((fact) => !PROMPTS.has(fact.id))]
}

function sentence(id) {
  const words = id.replaceAll("_", " ")
  return words.slice(0, 1).toUpperCase() + words.slice(1)
}

/** A metadata value as the page holds values of `param`. */
function held(param, value) {
  if (param.type === "boolean") return plain(value).toLowerCase() === "true"
  if (param.type === "list" || param.type === "image_list")
    return Array.isArray(value) ? value.map(plain) : plain(value).split(",")
  if (param.type === "model") return plain(value).replace(/\.safetensors$/, "")
  return plain(value)
}

/**
 * The choices that make this picture again: its parameters are set and switched on, all others return to their
 * defaults, and those that say of themselves that they are not to be reused, or always retained, stay as they are.
 */
export function reuse(metadata, { params, groups, choices }) {
  const given = { ...metadata.params }
  for (const id of PROMPTS) {
    if (metadata.extra[`original_${id}`] !== undefined) given[id] = metadata.extra[`original_${id}`]
  }
  const next = { values: {}, on: {}, groups: {} }
  for (const param of params.values()) {
    if (param.always_retain || param.nonreusable) keep(param, choices, next)
    else if (given[param.id] !== undefined) take(param, given[param.id], groups, next)
    else if (param.type === "model" && param.id === "model") keep(param, choices, next)
  }
  return next
}

function keep(param, choices, next) {
  if (param.id in choices.values) next.values[param.id] = choices.values[param.id]
  if (choices.on[param.id]) next.on[param.id] = true
}

function take(param, value, groups, next) {
  const mine = held(param, value)
  if (PICTURES.has(param.type) && ![mine].flat().every((one) => one.startsWith("data:"))) return
  next.values[param.id] = mine
  if (param.toggleable) next.on[param.id] = true
  for (let group = groups.get(param.group); group; group = groups.get(group.parent)) {
    if (group.toggles) next.groups[group.id] = true
  }
  if (JSON.stringify(mine) === JSON.stringify(defaultOf(param)) && !param.toggleable) delete next.values[param.id]
}
