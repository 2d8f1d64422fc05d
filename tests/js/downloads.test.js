import assert from "node:assert/strict"
import { test } from "node:test"
import { Downloads } from "../../static/js/state/downloads.js"

const WANTED = { url: "https://example.com/ink.safetensors", type: "LoRA", name: "ink" }

/** A socket that is open at once; the test says what the server sends and when it closes. */
class OpenSocket extends EventTarget {
  readyState = 1
  sent = []
  addEventListener(name, act) {
    super.addEventListener(name, act)
    if (name === "open") queueMicrotask(() => this.dispatchEvent(new Event("open")))
  }
  send(text) {
    this.sent.push(JSON.parse(text))
  }
  tell(...messages) {
    for (const message of messages)
      this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify(message) }))
  }
  end(code = 1000) {
    this.readyState = 3
    this.dispatchEvent(Object.assign(new Event("close"), { code }))
  }
  close() {}
}

function begun() {
  let number = 1
  const sockets = []
  const client = {
    session: async () => ({ session_id: `s${number}` }),
    renew: async () => ({ session_id: `s${++number}` }),
    socketUrl: (route) => `ws://host/API/${route}`,
  }
  const connect = (url) => {
    assert.equal(url, "ws://host/API/DoModelDownloadWS")
    sockets.push(new OpenSocket())
    return sockets.at(-1)
  }
  const downloads = new Downloads({ client, connect })
  return { downloads, sockets, ended: downloads.start(WANTED) }
}

const soon = () => new Promise((resolve) => setImmediate(resolve))

test("a download tells how far it is and when it is done", async () => {
  const { downloads, sockets, ended } = begun()
  await soon()
  assert.deepEqual(sockets[0].sent, [{ ...WANTED, session_id: "s1" }])
  sockets[0].tell({ current_percent: 0.25, overall_percent: 0.2, per_second: 1000 })
  await soon()
  const [{ state, share, perSecond, key }] = downloads.list
  assert.deepEqual([state, share, perSecond], ["running", 0.25, 1000])
  downloads.forget(key)
  assert.equal(downloads.list.length, 1)
  sockets[0].tell({ success: true })
  sockets[0].end()
  await ended
  assert.equal(downloads.list[0].state, "done")
  downloads.forget(key)
  assert.deepEqual(downloads.list, [])
})

test("a cancelled download stays cancelled, whatever the server answers", async () => {
  const { downloads, sockets, ended } = begun()
  await soon()
  downloads.cancel(downloads.list[0].key)
  assert.deepEqual(sockets[0].sent.at(-1), { signal: "cancel" })
  sockets[0].tell({ error: "Download was cancelled." })
  sockets[0].end()
  await ended
  assert.deepEqual([downloads.list[0].state, downloads.list[0].error], ["cancelled", ""])
})

test("a refusal and a lost connection are told in a sentence", async () => {
  const refused = begun()
  await soon()
  refused.sockets[0].tell({ error: "Downloads from 'example.com' are not allowed." })
  refused.sockets[0].end()
  await refused.ended
  assert.equal(refused.downloads.list[0].error, "Downloads from 'example.com' are not allowed.")
  const lost = begun()
  await soon()
  lost.sockets[0].end(1006)
  await lost.ended
  assert.deepEqual(
    [lost.downloads.list[0].state, lost.downloads.list[0].error.slice(0, 24)],
    ["failed", "The connection was lost."],
  )
})

test("a session that the server forgot is renewed, and the download begins again", async () => {
  const { downloads, sockets, ended } = begun()
  await soon()
  sockets[0].tell({ error: "Invalid session ID.", error_id: "invalid_session_id" })
  await soon()
  assert.equal(sockets[1].sent[0].session_id, "s2")
  sockets[1].tell({ success: true })
  sockets[1].end()
  await ended
  assert.equal(downloads.list[0].state, "done")
})
