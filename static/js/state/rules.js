/**
 * When a parameter is shown, sent, or differs from its default. Pure: takes what was declared (ListT2IParams) and what
 * was chosen, and knows nothing of the page.
 *
 * @typedef {object} Choices
 * @property {Record<string, any>} values     by parameter id; an absent one has its default
 * @property {Record<string, boolean>} on     toggles of toggleable parameters
 * @property {Record<string, boolean>} groups toggles of toggling groups
 */

const NUMERIC = new Set(["integer", "decimal"])
const PICTURES = new Set(["image", "image_list", "audio"])
const FIELD_KINDS = {
  integer: "number",
  decimal: "number",
  boolean: "toggle",
  dropdown: "choice",
  model: "choice",
  image: "picture",
}

/** Parameters that need more than their kind: the field module of their own, by id and kind. */
const OWN_FIELDS = { "maskimage/image": "mask" }

/** The field module that can edit `param`: a file in fields/. */
export function fieldKind(param) {
  const own = OWN_FIELDS[`${param.id}/${param.type}`]
  if (own) return own
  if (param.view_type === "seed") return "seed"
  return FIELD_KINDS[param.type] ?? param.type
}

/** The default as the page holds values: text, booleans, and arrays for lists. */
export function defaultOf(param) {
  if (param.type === "boolean") return param.default === "true"
  if (param.type === "list")
    return (param.default ?? "")
      .split(",")
      .map((part) => part.trim())
      .filter(Boolean)
  if (param.type === "image_list") return []
  return param.default ?? ""
}

/** The chosen value; a remembered one that the server no longer offers gives way to the default. */
export function valueOf(param, choices) {
  const chosen = choices.values[param.id]
  const isGone = param.type === "dropdown" && param.values && !param.values.includes(chosen)
  return chosen === undefined || isGone ? defaultOf(param) : chosen
}

/** Do two values mean the same? "7" and "7.0" do. */
export function same(param, one, other) {
  if (NUMERIC.has(param.type) && one !== "" && other !== "") return Number(one) === Number(other)
  return JSON.stringify(one) === JSON.stringify(other)
}

export function isChanged(param, choices) {
  return Boolean(choices.on[param.id]) || !same(param, valueOf(param, choices), defaultOf(param))
}

/** Are all the features that `param` needs offered by some backend (or by the chosen model)? */
export function isSupported(param, features) {
  return !param.feature_flag || param.feature_flag.split(",").every((flag) => features.has(flag.trim()))
}

/** `group` and the groups around it, innermost first. */
export function ancestry(groupId, groups) {
  const found = []
  for (let group = groups.get(groupId); group && !found.includes(group); group = groups.get(group.parent))
    found.push(group)
  return found
}

/** Is `param` shown because another one it depends on was changed (depend_non_default)? */
export function isUnlocked(param, params, choices) {
  const needed = param.depend_non_default && params.get(param.depend_non_default)
  return !needed || (isChanged(needed, choices) && (!needed.toggleable || Boolean(choices.on[needed.id])))
}

/** Is `param` switched on: its own toggle, and every toggling group around it? */
export function isOn(param, groups, choices) {
  if (param.toggleable && !choices.on[param.id]) return false
  return ancestry(param.group, groups).every((group) => !group.toggles || choices.groups[group.id])
}

export function isAdvanced(param, groups) {
  return param.advanced || ancestry(param.group, groups).some((group) => group.advanced)
}

/** Does `param` belong in the panel now? A search reaches everything; a changed advanced setting stays in sight. */
export function isShown(param, { params, groups, choices, features, advanced, search }) {
  if (!param.visible || param.extra_hidden || !isSupported(param, features) || !isUnlocked(param, params, choices))
    return false
  if (search) return matches(param, groups, search)
  return advanced || !isAdvanced(param, groups) || isChanged(param, choices)
}

/** Does every word of `search` occur in the name, description or group of `param`? */
export function matches(param, groups, search) {
  const text = [param.name, param.description, ...ancestry(param.group, groups).map((group) => group.name)]
    .join(" ")
    .toLowerCase()
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}

/** A value as the wire takes it: numbers that a double can hold are numbers, longer seeds stay text. */
export function wireValue(param, value) {
  if (!NUMERIC.has(param.type)) return value
  const number = Number(value)
  return param.type === "decimal" || Number.isSafeInteger(number) ? number : value
}

/** Is there anything to send? Empty text, no picture and an untouched advanced setting say nothing. */
function isWorthSending(param, groups, choices) {
  const value = valueOf(param, choices)
  if (value === "" || (Array.isArray(value) && value.length === 0)) return false
  return !isAdvanced(param, groups) || param.toggleable || isChanged(param, choices)
}

/** The parameters of a request, by id. What is switched off, locked or unsupported is left out. */
export function requestOf({ params, groups, choices, features }) {
  const request = {}
  for (const param of params.values()) {
    const sent = isSupported(param, features) && isUnlocked(param, params, choices) && isOn(param, groups, choices)
    if (sent && isWorthSending(param, groups, choices)) request[param.id] = wireValue(param, valueOf(param, choices))
  }
  return request
}

/** May this value be written into the browser's memory? Pictures are too large for it. */
export function isRemembered(param) {
  return !PICTURES.has(param.type)
}
