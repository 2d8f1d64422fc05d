import assert from "node:assert/strict"
import { test } from "node:test"
import { Connection, statusLine } from "../../static/js/state/connection.js"
import { History } from "../../static/js/state/history.js"

const SESSION = { user_id: "local", output_append_user: true }

function listing(answers) {
  const asked = []
  const client = {
    session: async () => SESSION,
    call: async (_route, body) => {
      asked.push(body)
      const answer = answers.shift()
      if (answer instanceof Error) throw answer
      return answer
    },
  }
  return { history: new History({ client }), asked }
}

test("a folder is listed with everything below it, and known folders add up", async () => {
  const { history, asked } = listing([
    { folders: ["raw", "raw/b"], files: [{ src: "raw/b/1.png", metadata: null }] },
    { folders: ["c"], files: [] },
  ])
  await history.refresh()
  await history.open("raw")
  assert.deepEqual(asked[1], { path: "raw", depth: 8, sortBy: "Date", sortReverse: false })
  assert.deepEqual(history.folders, ["raw/c", "raw/b", "raw"])
  assert.deepEqual(history.pictures, [])
})

test("a new picture comes first, once, and only in its folder", async () => {
  const { history } = listing([
    { folders: [], files: [{ src: "raw/1.png", metadata: null }] },
    { folders: [], files: [] },
  ])
  await history.refresh()
  const made = { key: "run1/0", path: "raw/2.png", url: "u", preview: "p", metadata: null, starred: false }
  history.add(made)
  history.add(made)
  assert.deepEqual(
    history.pictures.map(({ path }) => path),
    ["raw/2.png", "raw/1.png"],
  )
  await history.open("Starred")
  history.add(made)
  assert.deepEqual(history.pictures, [])
})

test("the search looks into prompts and names", async () => {
  const { history } = listing([
    {
      folders: [],
      files: [
        { src: "1.png", metadata: `{"sui_image_params":{"prompt":"a Red cat"}}` },
        { src: "2.png", metadata: null },
      ],
    },
  ])
  await history.refresh()
  history.find("cat red")
  assert.deepEqual(
    history.pictures.map(({ path }) => path),
    ["1.png"],
  )
})

test("a failure is kept as the server's sentence and the pictures stay", async () => {
  const { history } = listing([
    { folders: [], files: [{ src: "1.png", metadata: null }] },
    new Error("Error reading file list."),
  ])
  await history.refresh()
  await history.refresh()
  assert.deepEqual([history.failure, history.pictures.length], ["Error reading file list.", 1])
})

const CALM = { waiting_gens: 0, loading_models: 0, waiting_backends: 0, live_gens: 0 }
const RUNNING = { status: "running", class: "", message: "", any_loading: false }
const line = (counts, backend = RUNNING, reachable = true) =>
  statusLine({ reachable, counts: { ...CALM, ...counts }, backend })

test("the status is one line", () => {
  assert.deepEqual(line({}), { text: "Ready", level: "" })
  assert.equal(line({ live_gens: 1, waiting_gens: 4 }).text, "Making 1 · 3 waiting")
  assert.equal(line({ loading_models: 1, waiting_gens: 1 }).text, "Loading a model · 1 waiting")
  assert.deepEqual(line({}, { ...RUNNING, status: "errored", class: "error", message: "A backend failed." }), {
    text: "A backend failed.",
    level: "error",
  })
  assert.equal(line({}, RUNNING, false).level, "error")
})

test("the server is asked often while something goes on, and again after it was gone", async () => {
  const pauses = []
  const answers = [
    { status: CALM, backend_status: RUNNING, supported_features: ["comfyui"] },
    Object.assign(new Error("gone"), { id: "unreachable" }),
    { status: { ...CALM, waiting_gens: 1 }, backend_status: RUNNING, supported_features: [] },
  ]
  const call = async () => {
    const answer = answers.shift()
    if (answer instanceof Error) throw answer
    return answer
  }
  const connection = new Connection({ client: { call }, later: (_act, seconds) => pauses.push(seconds) })
  const reachable = []
  for (let turn = 0; turn < 3; turn++) {
    await connection.poll()
    reachable.push(connection.value.reachable)
  }
  assert.deepEqual(pauses, [10, 2, 2])
  assert.deepEqual(reachable, [true, false, true])
})
