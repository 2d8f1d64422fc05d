/** What the user has chosen, over what the server declared. Fires "declared" after a load, "change" after a choice. */

import { reuse } from "./metadata.js"
import { sideOf, sizeFor } from "./resolution.js"
import { isChanged, isOn, isRemembered, isShown, isSupported, isUnlocked, requestOf, valueOf } from "./rules.js"

const NONE = { values: {}, on: {}, groups: {} }
const CUSTOM = "Custom"
const SIDES = new Set(["width", "height"])
const INIT_IMAGE = "initimage"
const MASK = "maskimage"
const COMPAT_FLAGS = [
  ["stable-diffusion-xl", "sdxl"],
  ["stable-diffusion-v3", "sd3"],
  ["flux-1", "flux-dev"],
  ["stable-cascade", "cascade"],
]

export class Params extends EventTarget {
  #memory
  #choices
  #offered = new Set()
  #models = []
  #families = {}

  /** @type {Map<string, import("../api/types.js").Param>} */
  params = new Map()
  /** @type {Map<string, import("../api/types.js").Group>} */
  groups = new Map()
  advanced
  search = ""

  constructor(memory) {
    super()
    this.#memory = memory
    this.#choices = { ...NONE, ...memory.read("params") }
    this.advanced = memory.read("advanced", false)
  }

  /** Take over an answer of ListT2IParams (or TriggerRefresh). */
  declare({ list, groups, models, model_compat_classes: families }) {
    this.#families = families ?? {}
    const ordered = list.map((param) => withModels(param, models)).sort((one, other) => one.priority - other.priority)
    this.params = new Map(ordered.map((param) => [param.id, param]))
    this.groups = new Map(groups.map((group) => [group.id, group]))
    this.dispatchEvent(new Event("declared"))
    this.#changed()
  }

  /** Which features the running backends offer. */
  offer(features) {
    if (features.length === this.#offered.size && features.every((flag) => this.#offered.has(flag))) return
    this.#offered = new Set(features)
    this.#changed()
  }

  /** The models that can be chosen; the first is taken when the remembered one is gone. */
  know(models) {
    this.#models = models
    if (!this.model && models.length) this.set("model", models[0].name)
    else this.#changed()
  }

  get models() {
    return this.#models
  }

  /** The chosen model, as ListModels describes it. */
  get model() {
    const name = this.#choices.values.model
    return this.#models.find((model) => model.name === name) ?? null
  }

  get features() {
    const compat = this.model?.compat_class ?? ""
    return new Set([
      ...this.#offered,
      ...COMPAT_FLAGS.filter(([prefix]) => compat.startsWith(prefix)).map(([, flag]) => flag),
    ])
  }

  value(id) {
    const param = this.params.get(id)
    if (SIDES.has(id) && this.size) return String(this.size[id])
    return param ? valueOf(param, this.#choices) : undefined
  }

  isToggled(id) {
    return Boolean(this.#choices.on[id])
  }

  isGroupOn(id) {
    return Boolean(this.#choices.groups[id])
  }

  isChanged(param) {
    return isChanged(param, this.#choices)
  }

  isActive(param) {
    return isOn(param, this.groups, this.#choices)
  }

  isShown(param) {
    if (SIDES.has(param.id) && this.size && !this.search) return false
    return isShown(param, { ...this.#rules(), advanced: this.advanced, search: this.search })
  }

  /** Can `id` be set at all by this user on these backends? */
  has(id) {
    const param = this.params.get(id)
    return Boolean(param && isSupported(param, this.features) && isUnlocked(param, this.params, this.#choices))
  }

  /** The size that the chosen aspect ratio gives with this model; null when width and height are chosen freely. */
  get size() {
    const ratio = this.params.has("aspectratio") ? this.value("aspectratio") : CUSTOM
    const side = this.isToggled("sidelength") ? Number(this.value("sidelength")) : (sideOf(this.model) ?? 512)
    return sizeFor(ratio, side, this.#families[this.model?.compat_class]?.resolution_precision)
  }

  /** Choose a value. That also switches on the parameter and the groups around it, since a choice is meant. */
  set(id, value) {
    const param = this.params.get(id)
    const values = { ...this.#choices.values, ...this.#freed(id, value), ...this.#unmasked(id, value), [id]: value }
    const on = param?.toggleable ? { ...this.#choices.on, [id]: true } : this.#choices.on
    const groups = { ...this.#choices.groups }
    for (let group = this.groups.get(param?.group); group; group = this.groups.get(group.parent)) {
      if (group.toggles) groups[group.id] = true
    }
    this.#choose({ values, on, groups })
  }

  /** Choosing a side, or no ratio, begins with the size that the ratio gave. */
  #freed(id, value) {
    const { size } = this
    if (!size || !(SIDES.has(id) || (id === "aspectratio" && value === CUSTOM))) return {}
    return { aspectratio: CUSTOM, width: String(size.width), height: String(size.height) }
  }

  /** A mask belongs to the init image it was drawn on: another one begins without. */
  #unmasked(id, value) {
    const before = this.#choices.values[INIT_IMAGE]
    return id === INIT_IMAGE && before && before !== value && this.#choices.values[MASK] ? { [MASK]: "" } : {}
  }

  toggle(id, isOn) {
    this.#choose({ ...this.#choices, on: { ...this.#choices.on, [id]: isOn } })
  }

  toggleGroup(id, isOn) {
    this.#choose({ ...this.#choices, groups: { ...this.#choices.groups, [id]: isOn } })
  }

  /** Back to the default, and off. */
  reset(id) {
    const { [id]: _value, ...values } = this.#choices.values
    const { [id]: _on, ...on } = this.#choices.on
    this.#choose({ ...this.#choices, values: { ...values, ...this.#unmasked(id, "") }, on })
  }

  /** Everything in the panel back to its default; the model and the prompts stay. */
  resetAll() {
    const { model, prompt, negativeprompt } = this.#choices.values
    this.#choose({ ...NONE, values: JSON.parse(JSON.stringify({ model, prompt, negativeprompt })) })
  }

  showAdvanced(isOn) {
    this.advanced = isOn
    this.#memory.write("advanced", isOn)
    this.#changed()
  }

  filter(search) {
    this.search = search.trim()
    this.#changed()
  }

  /** The root of a generation request, without images and session. */
  request() {
    return { ...requestOf(this.#rules()), ...this.size }
  }

  /** Choose what made a picture. Its size is kept exactly, whatever the ratio is called. */
  reuse(metadata) {
    const next = reuse(metadata, { params: this.params, groups: this.groups, choices: this.#choices })
    const { width, height } = metadata.params
    this.#choose(next)
    const size = this.size
    if (width && height && size && (size.width !== Number(width) || size.height !== Number(height))) {
      this.#choose({
        ...next,
        values: { ...next.values, aspectratio: CUSTOM, width: String(width), height: String(height) },
      })
    }
  }

  #rules() {
    return { params: this.params, groups: this.groups, choices: this.#choices, features: this.features }
  }

  #choose(choices) {
    this.#choices = choices
    const kept = Object.entries(choices.values).filter(
      ([id]) => !this.params.has(id) || isRemembered(this.params.get(id)),
    )
    this.#memory.write("params", { ...choices, values: Object.fromEntries(kept) })
    this.#changed()
  }

  #changed() {
    this.dispatchEvent(new Event("change"))
  }
}

/** A parameter whose values are the models of a set, with those models; others as they are. */
function withModels(param, models) {
  if (param.type !== "model" || param.values) return param
  const names = (models?.[param.subtype] ?? []).map(([name]) => name.replace(/\.safetensors$/, ""))
  return { ...param, values: names }
}
