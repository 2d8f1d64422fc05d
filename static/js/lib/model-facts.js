/** What is said about a model: the fields of its form, and the request that saves them. Pure. */

/**
 * `send`: the name in EditModelMetadata; `key`: the name in the answers of the server where it differs. `lora`: only
 * for LoRAs, `embedding`: only for embeddings.
 */
export const FIELDS = [
  { send: "title", name: "Title" },
  { send: "author", name: "Author" },
  { send: "type", key: "architecture", name: "Family", kind: "class" },
  { send: "description", name: "Description", kind: "long" },
  { send: "standard_width", name: "Width", kind: "size" },
  { send: "standard_height", name: "Height", kind: "size" },
  { send: "usage_hint", name: "How to use it", kind: "long" },
  { send: "trigger_phrase", name: "Trigger phrase" },
  { send: "tags", name: "Tags, separated by commas" },
  { send: "license", name: "Licence" },
  { send: "date", name: "Date" },
  { send: "prediction_type", name: "Prediction type" },
  { send: "lora_default_weight", name: "Usual weight", subtype: "LoRA" },
  { send: "lora_default_confinement", name: "Usual confinement", subtype: "LoRA" },
  { send: "is_negative_embedding", name: "For negative prompts", kind: "truth", subtype: "Embedding" },
]

/** The fields of a model of this set. */
export function fieldsOf(subtype) {
  return FIELDS.filter((field) => !field.subtype || field.subtype === subtype)
}

/** What a field shows of a model. */
export function shown({ send, key = send, kind }, model) {
  const value = model[key]
  if (kind === "truth") return value === true
  return Array.isArray(value) ? value.join(", ") : (value ?? "")
}

/**
 * The body of EditModelMetadata: everything that is known of `model`, with what the form says (`given`, by `send`).
 * A field that the form does not have stays as it is.
 */
export function editBody(subtype, model, given) {
  const values = FIELDS.map((field) => [field.send, sent(field, given[field.send] ?? shown(field, model))])
  return { ...Object.fromEntries(values), model: model.name, subtype }
}

function sent({ kind }, value) {
  if (kind === "size") return Number(value) || 0
  return kind === "truth" ? Boolean(value) : String(value).trim()
}
