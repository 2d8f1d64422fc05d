import assert from "node:assert/strict"
import { test } from "node:test"
import { Client } from "../../static/js/api/client.js"
import { freshMemory } from "./support/wire.js"

const STALE = {
  status: 401,
  body: { error: "Invalid session ID. You may need to refresh the page.", error_id: "invalid_session_id" },
}

/** A server that gives sessions s1, s2 … and answers every other call with `answer(session id, nth call)`. */
function server(answer) {
  const calls = []
  let sessions = 0
  const fetch = async (url, { body }) => {
    const route = url.split("/API/")[1]
    const json = JSON.parse(body)
    const { status = 200, body: reply } =
      route === "GetNewSession"
        ? { body: { session_id: `s${++sessions}` } }
        : answer(json.session_id, calls.filter((call) => call.route === route).length)
    calls.push({ route, url, ...json })
    return { status, json: async () => reply }
  }
  return {
    fetch,
    calls,
    client: (memory = freshMemory()) => new Client({ base: "http://host/below/Text2Image", fetch, memory }),
  }
}

test("calls go below the page's own address, with the session", async () => {
  const { calls, client } = server(() => ({ body: { ok: 1 } }))
  assert.deepEqual(await client().call("ListImages", { path: "" }), { ok: 1 })
  assert.deepEqual(calls.at(-1), {
    route: "ListImages",
    url: "http://host/below/API/ListImages",
    path: "",
    session_id: "s1",
  })
})

test("the socket takes the scheme of the page", () => {
  const { client } = server(() => ({}))
  assert.equal(client().socketUrl("GenerateText2ImageWS"), "ws://host/below/API/GenerateText2ImageWS")
})

test("an unknown session is renewed and the call made again", async () => {
  const { calls, client } = server((session) => (session === "s1" ? STALE : { body: { done: true } }))
  assert.deepEqual(await client().call("ListImages"), { done: true })
  assert.deepEqual(
    calls.map(({ route }) => route),
    ["GetNewSession", "ListImages", "GetNewSession", "ListImages"],
  )
})

test("after three tries the server's sentence is thrown", async () => {
  const { calls, client } = server(() => STALE)
  await assert.rejects(client().call("ListImages"), { message: STALE.body.error, id: "invalid_session_id" })
  assert.equal(calls.filter(({ route }) => route === "ListImages").length, 3)
})

test("calls refused together ask for one new session", async () => {
  const { calls, client } = server((session) => (session === "s1" ? STALE : { body: {} }))
  const one = client()
  await Promise.all([one.call("ListImages"), one.call("ListModels"), one.call("GetCurrentStatus")])
  assert.equal(calls.filter(({ route }) => route === "GetNewSession").length, 2)
})

test("a reload keeps its session", async () => {
  const memory = freshMemory()
  const { calls, client } = server(() => ({ body: {} }))
  await client(memory).call("ListImages")
  await client(memory).call("ListImages")
  assert.equal(calls.filter(({ route }) => route === "GetNewSession").length, 1)
})

test("refusals are the server's sentence, also with status 200", async () => {
  const { client } = server(() => ({ body: { error: "That file does not exist, cannot delete." } }))
  await assert.rejects(client().call("DeleteImage"), { message: "That file does not exist, cannot delete.", id: null })
})

test("no answer at all is said plainly, and the next try may succeed", async () => {
  let isDown = true
  const { fetch } = server(() => ({ body: { up: true } }))
  const client = new Client({
    base: "http://host/",
    fetch: (...request) => (isDown ? Promise.reject(new TypeError("Failed to fetch")) : fetch(...request)),
    memory: freshMemory(),
  })
  await assert.rejects(client.call("ListImages"), { id: "unreachable" })
  isDown = false
  assert.deepEqual(await client.call("ListImages"), { up: true })
})
