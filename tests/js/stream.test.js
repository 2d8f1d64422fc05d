import assert from "node:assert/strict"
import { test } from "node:test"
import { ConnectionLost, generate } from "../../static/js/api/stream.js"

/** A socket that answers the first thing it is sent with `messages` and then closes with `code` (or stays open). */
class ScriptedSocket extends EventTarget {
  static all = []
  sent = []
  isClosed = false

  constructor(messages, code = null) {
    super()
    this.messages = messages
    this.code = code
    ScriptedSocket.all.push(this)
  }
  addEventListener(name, act) {
    super.addEventListener(name, act)
    if (name === "open") queueMicrotask(() => this.dispatchEvent(new Event("open")))
  }
  send(text) {
    this.sent.push(JSON.parse(text))
    for (const message of this.messages)
      this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify(message) }))
    if (this.code) this.dispatchEvent(Object.assign(new Event("close"), { code: this.code }))
  }
  close() {
    this.isClosed = true
  }
}

function client() {
  let number = 1
  return {
    session: async () => ({ session_id: `s${number}` }),
    renew: async () => ({ session_id: `s${++number}` }),
    socketUrl: (route) => `ws://host/API/${route}`,
  }
}

async function collect(stream) {
  const found = []
  for await (const message of stream) found.push(message)
  return found
}

const STALE = { error: "Invalid session ID. You may need to refresh the page.", error_id: "invalid_session_id" }

test("messages come in order until the server intends to close", async () => {
  const socket = new ScriptedSocket([
    { status: {} },
    { gen_progress: {} },
    { image: "a" },
    { discard_indices: [] },
    { socket_intention: "close" },
    { late: 1 },
  ])
  const found = await collect(generate(client(), { prompt: "x", images: 1 }, () => socket))
  assert.deepEqual(
    found.map((message) => Object.keys(message)[0]),
    ["status", "gen_progress", "image", "discard_indices"],
  )
  assert.deepEqual(socket.sent, [{ prompt: "x", images: 1, session_id: "s1" }])
  assert.ok(socket.isClosed)
})

test("an unknown session is renewed on a new socket", async () => {
  const sockets = [
    new ScriptedSocket([STALE], 1000),
    new ScriptedSocket([{ image: "a" }, { socket_intention: "close" }]),
  ]
  const found = await collect(generate(client(), { images: 1 }, () => sockets.shift()))
  assert.deepEqual(found, [{ image: "a" }])
  assert.equal(ScriptedSocket.all.at(-1).sent[0].session_id, "s2")
})

test("after three tries the refusal is thrown", async () => {
  let opened = 0
  const connect = () => {
    opened += 1
    return new ScriptedSocket([STALE], 1000)
  }
  await assert.rejects(collect(generate(client(), { images: 1 }, connect)), { id: "invalid_session_id" })
  assert.equal(opened, 3)
})

test("a refusal that closes the socket in the normal way is only a message", async () => {
  const socket = new ScriptedSocket(
    [{ error: "You lack permissions for this route.", error_id: "bad_permissions" }],
    1000,
  )
  assert.equal((await collect(generate(client(), {}, () => socket))).length, 1)
})

test("a socket that breaks says so, after what had arrived", async () => {
  const socket = new ScriptedSocket([{ image: "a" }], 1006)
  const found = []
  await assert.rejects(async () => {
    for await (const message of generate(client(), {}, () => socket)) found.push(message)
  }, ConnectionLost)
  assert.deepEqual(found, [{ image: "a" }])
})
