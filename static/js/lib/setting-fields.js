/**
 * Form fields from the settings that the server describes: those of backends and its own. Knows the wire's types text,
 * integer, decimal, boolean, dropdown and list, and that secrets are never shown.
 */

import { html } from "./html.js"

/** What the wire shows instead of a secret; sent back, it leaves the secret as it is. */
export const SECRET = "\t<secret>"

const LIST_SEPARATOR = " || "
const SELECTED = html` selected`
const CHECKED = html` checked`

/** "ConnectionAttemptTimeoutSeconds" -> "Connection attempt timeout seconds", "GPU_ID" -> "GPU ID". */
export function spelledOut(name) {
  const words = name
    .replaceAll("_", " ")
    .replace(/([a-z\d])([A-Z])/g, "$1 $2")
    .replace(/([A-Z])([A-Z][a-z]{2})/g, "$1 $2")
  return words.replace(/(?<= )[A-Z](?=[a-z]|$)/g, (letter) => letter.toLowerCase())
}

/** The entries of a list setting, which the wire gives as a list or as one text. */
export function entries(value) {
  const all = Array.isArray(value) ? value : String(value ?? "").split(LIST_SEPARATOR)
  return all.map((each) => String(each).trim()).filter(Boolean)
}

/**
 * One setting with its help. The control's name is `name`, its id begins with `prefix`.
 * @param {{name: string, type: string, description: string, placeholder?: string, is_secret: boolean,
 *   values: string[]|null, value_names: string[]|null}} setting
 */
export function settingField(setting, value, { name = setting.name, prefix }) {
  const id = `${prefix}-${name}`
  const about = setting.description ? html` aria-describedby="${id}-help"` : ""
  const help = setting.description && html`<p class="setting-help" id="${id}-help">${setting.description}</p>`
  const label = spelledOut(setting.name)
  if (setting.type === "boolean") {
    return html`<div class="setting"><label class="panel-check" title="${setting.name}">
      <input type="checkbox" id="${id}" name="${name}"${about}${
      isTrue(value) ? CHECKED : ""
    }> ${label}</label>${help}</div>`
  }
  return html`<div class="setting"><label for="${id}" title="${setting.name}">${label}</label>
    ${control(setting, value, html`id="${id}" name="${name}"${about}`)}
    ${setting.is_secret && value === SECRET && forget(name)}${help}</div>`
}

function control(setting, value, attributes) {
  const hint = setting.placeholder ?? ""
  if (setting.is_secret) {
    const shown = value === SECRET ? "Kept as it is unless you write here" : hint
    return html`<input class="input" type="password" autocomplete="new-password" placeholder="${shown}" ${attributes}>`
  }
  if (setting.type === "integer" || setting.type === "decimal") {
    const step = setting.type === "integer" ? "1" : "any"
    return html`<input class="input" type="number" step="${step}" value="${value}" placeholder="${hint}" required
      ${attributes}>`
  }
  if (setting.type === "dropdown") return html`<select class="input" ${attributes}>${options(setting, value)}</select>`
  const text = setting.type === "list" ? entries(value).join("\n") : (value ?? "")
  // The parser drops one line break after the tag: this one, instead of one of the value's.
  return html`<textarea class="input setting-text" rows="1" spellcheck="false" placeholder="${hint}"
    ${attributes}>${"\n"}${text}</textarea>`
}

function options({ values, value_names: names }, value) {
  const known = values.includes(String(value)) ? values : [String(value), ...values]
  return known.map((each) => {
    const words = names?.[values.indexOf(each)] ?? each
    return html`<option value="${each}"${each === String(value) ? SELECTED : ""}>${words || "None"}</option>`
  })
}

function forget(name) {
  return html`<label class="panel-check"><input type="checkbox" name="${name}.forget"> Have none</label>`
}

function isTrue(value) {
  return value === true || value === "true"
}

/** What a control says, as the wire wants it. `mayForget`: the box beside a secret is ticked. */
export function settingValue(setting, { value, checked }, mayForget = false) {
  if (setting.is_secret) return value || (mayForget ? "" : SECRET)
  if (setting.type === "boolean") return checked
  if (setting.type === "integer" || setting.type === "decimal") return Number(value)
  return setting.type === "list"
    ? value
        .split("\n")
        .map((each) => each.trim())
        .filter(Boolean)
    : value
}

/** The values of all `settings` (control names with settings) in `form`, by name. */
export function settingValues(form, settings) {
  const read = ([name, setting]) => [
    name,
    settingValue(setting, form.elements[name], form.elements[`${name}.forget`]?.checked),
  ]
  return Object.fromEntries(settings.map(read))
}

/** Does `after` differ from what the wire said before? An untouched secret does not. */
export function differs(setting, before, after) {
  if (setting.is_secret) return after !== SECRET
  if (setting.type === "list") return entries(before).join("\n") !== after.join("\n")
  return String(before ?? "") !== String(after)
}
