/** The chosen LoRAs and their weights: two parallel lists on the wire, one list of pairs here. */

const IDS = { names: "loras", weights: "loraweights" }
const PLAIN_WEIGHT = "1"

/** @returns {{name: string, weight: string}[]} a missing weight counts as 1, as on the server */
export function chosenLoras(params) {
  const weights = params.value(IDS.weights) ?? []
  return (params.value(IDS.names) ?? []).map((name, index) => ({ name, weight: weights[index] ?? PLAIN_WEIGHT }))
}

/** The names that could be added now. */
export function otherLoras(params) {
  const chosen = new Set(params.value(IDS.names))
  return (params.params.get(IDS.names)?.values ?? []).filter((name) => name !== "(None)" && !chosen.has(name))
}

export function addLora(params, name) {
  keep(params, [...chosenLoras(params), { name, weight: PLAIN_WEIGHT }])
}

export function removeLora(params, name) {
  keep(
    params,
    chosenLoras(params).filter((lora) => lora.name !== name),
  )
}

export function weighLora(params, name, weight) {
  keep(
    params,
    chosenLoras(params).map((lora) => (lora.name === name ? { name, weight } : lora)),
  )
}

function keep(params, loras) {
  params.set(
    IDS.names,
    loras.map(({ name }) => name),
  )
  params.set(
    IDS.weights,
    loras.map(({ weight }) => weight),
  )
}
