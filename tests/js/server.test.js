import assert from "node:assert/strict"
import { test } from "node:test"
import { factsOf, inOrder, kindOf, levelOf, nameOf, summary } from "../../static/js/lib/backends.js"
import { bytes } from "../../static/js/lib/format.js"
import { holds, joined, plain } from "../../static/js/lib/log-lines.js"
import { editBody, fieldsOf } from "../../static/js/lib/model-facts.js"
import {
  differs,
  entries,
  SECRET,
  settingField,
  settingValue,
  settingValues,
  spelledOut,
} from "../../static/js/lib/setting-fields.js"

const SETTING = { name: "Some", type: "text", description: "", is_secret: false, values: null, value_names: null }
const BACKEND = {
  type: "fake",
  status: "running",
  id: 0,
  title: "",
  max_usages: 4,
  can_load_models: true,
  current_model: "folder/ink.safetensors",
  seconds_since_used: 65,
  time_since_used: "1 minute and 5 seconds ago",
}
const TYPES = [{ id: "fake", name: "Fake Backend" }]

function field(more, value) {
  return String(settingField({ ...SETTING, ...more }, value, { prefix: "p" }))
}

test("names of settings are spelled out, short forms stay", () => {
  const names = [
    "ConnectionAttemptTimeoutSeconds",
    "GPU_ID",
    "AuthBypassIPs",
    "VAEs",
    "MaxXForwardedFor",
    "UI",
    "OutPathBuilder",
  ]
  assert.deepEqual(names.map(spelledOut), [
    "Connection attempt timeout seconds",
    "GPU ID",
    "Auth bypass IPs",
    "VAEs",
    "Max X forwarded for",
    "UI",
    "Out path builder",
  ])
})

test("every kind of setting becomes its field, and nothing of it becomes markup", () => {
  const evil = `"><img src=x onerror=alert(1)>`
  for (const type of ["text", "integer", "decimal", "boolean", "dropdown", "list"]) {
    const made = field(
      { type, name: evil, description: evil, placeholder: evil, values: [evil], value_names: [evil] },
      evil,
    )
    assert.ok(!made.includes("<img"), type)
  }
  assert.match(field({ type: "integer" }, 3), /type="number" step="1" value="3"/)
  assert.match(field({ type: "decimal" }, 0.5), /step="any" value="0.5"/)
  assert.match(field({ type: "boolean" }, true), /type="checkbox"[^>]* checked/)
  assert.doesNotMatch(field({ type: "boolean" }, false), / checked/)
  assert.match(field({ description: "Why." }, ""), /aria-describedby="p-Some-help".*id="p-Some-help">Why\./s)
  assert.match(field({}, "a\nb"), /<textarea[^>]*>\na\nb<\/textarea>/)
})

test("a dropdown shows its names and keeps a value it does not know", () => {
  const setting = { type: "dropdown", values: ["a", ""], value_names: ["First", ""] }
  assert.match(field(setting, "a"), /<option value="a" selected>First<\/option><option value="">None<\/option>/)
  assert.match(field(setting, "old"), /<option value="old" selected>old<\/option><option value="a">First/)
})

test("a secret is never in the page, stays unless it is written or ticked away", () => {
  const secret = { ...SETTING, is_secret: true }
  assert.ok(!field(secret, SECRET).includes("secret>"))
  assert.match(field(secret, SECRET), /Have none/)
  assert.doesNotMatch(field(secret, ""), /Have none/)
  assert.equal(settingValue(secret, { value: "" }), SECRET)
  assert.equal(settingValue(secret, { value: "" }, true), "")
  assert.equal(settingValue(secret, { value: "new" }), "new")
  assert.deepEqual([differs(secret, SECRET, SECRET), differs(secret, SECRET, "")], [false, true])
})

test("a form is read in the wire's types", () => {
  const elements = {
    a: { value: "7" },
    b: { value: "on", checked: true },
    c: { value: " x \n\ny" },
    d: { value: " kept " },
    e: { value: "" },
    "e.forget": { checked: true },
  }
  const settings = [
    ["a", { ...SETTING, type: "integer" }],
    ["b", { ...SETTING, type: "boolean" }],
    ["c", { ...SETTING, type: "list" }],
    ["d", SETTING],
    ["e", { ...SETTING, is_secret: true }],
  ]
  assert.deepEqual(settingValues({ elements }, settings), { a: 7, b: true, c: ["x", "y"], d: " kept ", e: "" })
})

test("only what was changed counts as changed", () => {
  assert.equal(differs({ ...SETTING, type: "integer" }, 7, 7), false)
  assert.equal(differs({ ...SETTING, type: "boolean" }, false, true), true)
  assert.equal(differs({ ...SETTING, type: "list" }, "a || b", ["a", "b"]), false)
  assert.equal(differs(SETTING, null, ""), false)
  assert.deepEqual(entries("a ||  || b"), ["a", "b"])
})

test("a backend says what it does", () => {
  assert.deepEqual(factsOf(BACKEND), ["Running", "ink", "up to 4 pictures at once", "used 1 minute and 5 seconds ago"])
  const fresh = { ...BACKEND, current_model: null, max_usages: 1, seconds_since_used: 0, time_since_used: "Never" }
  assert.deepEqual(factsOf(fresh), ["Running", "no model loaded", "up to 1 picture at once", "not used yet"])
  assert.deepEqual(factsOf({ ...fresh, status: "errored" }), ["Failed", "not used yet"])
  assert.deepEqual(
    [levelOf(BACKEND), levelOf({ status: "errored" }), levelOf({ status: "new" })],
    ["good", "error", "warn"],
  )
  assert.deepEqual([nameOf(BACKEND, TYPES), nameOf({ ...BACKEND, title: "Mine" }, TYPES)], ["Fake Backend", "Mine"])
  assert.equal(kindOf({ type: "strange" }, TYPES), "strange")
})

test("backends are ordered by number, those of others last", () => {
  const order = inOrder({ "-2": { id: -2 }, "-1": { id: -1 }, 0: { id: 0 }, 10: { id: 10 }, 2: { id: 2 } })
  assert.deepEqual(
    order.map(({ id }) => id),
    [0, 2, 10, -1, -2],
  )
  assert.equal(summary({}, null), "There is no backend yet: nothing can make pictures.")
  assert.equal(
    summary({ 0: BACKEND, 1: { status: "idle" } }, { live_gens: 1, waiting_gens: 4 }),
    "1 of 2 backends running · 1 picture being made · 3 waiting",
  )
})

test("log lines are joined in order, once each, the latest kept", () => {
  const line = (id) => ({ sequence_id: id, time: "t", message: `m${id}` })
  const first = joined([], { Info: [line(1), line(4)], Error: [line(2)] }, 10)
  assert.deepEqual(
    first.map(({ sequence_id, level }) => [sequence_id, level]),
    [
      [1, "Info"],
      [2, "Error"],
      [4, "Info"],
    ],
  )
  assert.deepEqual(
    joined(first, { Info: [line(4), line(5)] }, 3).map(({ sequence_id }) => sequence_id),
    [2, 4, 5],
  )
  assert.equal(plain(first[1]), "t [Error] m2")
  assert.deepEqual([holds(first[1], ["error", "m2"]), holds(first[1], ["m1"])], [true, false])
})

test("saving what is said about a model keeps what the form does not show", () => {
  const model = {
    name: "a.safetensors",
    title: "A",
    tags: ["x", "y"],
    standard_width: 512,
    architecture: "flux-1",
    lora_default_weight: "0.5",
  }
  const body = editBody("Stable-Diffusion", model, { title: " B ", standard_width: "" })
  assert.equal(body.title, "B")
  assert.equal(body.model, "a.safetensors")
  assert.deepEqual([body.type, body.tags, body.standard_width, body.standard_height], ["flux-1", "x, y", 0, 0])
  assert.deepEqual([body.lora_default_weight, body.is_negative_embedding], ["0.5", false])
  assert.ok(fieldsOf("LoRA").length > fieldsOf("Stable-Diffusion").length)
})

test("sizes are short", () => {
  assert.deepEqual([0, 512, 1536, 23622320128, 2 ** 40].map(bytes), [
    "0 bytes",
    "512 bytes",
    "1.5 KiB",
    "22 GiB",
    "1 TiB",
  ])
})
