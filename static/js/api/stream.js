/** One request on the generation socket, read as a stream of the server's messages. */

import { ApiError } from "./client.js"

const TRIES = 3
const NORMAL_CLOSE = 1000

/** The socket went away before the server said that it was done. The pictures are made all the same. */
export class ConnectionLost extends Error {
  constructor() {
    super("The connection was lost while pictures were being made.")
    this.name = "ConnectionLost"
  }
}

/**
 * Send `request` and yield each message until the server intends to close.
 * @param {import("./client.js").Client} client
 * @param {object} request  the root of the wire's request, without session_id
 * @param {(url: string) => WebSocket} connect
 */
export async function* generate(client, request, connect = (url) => new WebSocket(url)) {
  for (let attempt = 1; ; attempt++) {
    const session = await client.session()
    const socket = connect(client.socketUrl("GenerateText2ImageWS"))
    let stale = false
    for await (const message of messages(socket, { ...request, session_id: session.session_id })) {
      if (message.socket_intention === "close") return
      stale = message.error_id === "invalid_session_id"
      if (stale) break
      yield message
    }
    if (!stale) return
    if (attempt === TRIES)
      throw new ApiError("Invalid session ID. You may need to refresh the page.", "invalid_session_id")
    await client.renew(session)
  }
}

/** Every message of one socket, in order. Leaving the loop closes it; an abnormal close throws ConnectionLost. */
export async function* messages(socket, first) {
  const waiting = []
  let closed = null
  let wake = () => {}
  const notice = (act) => (event) => {
    act(event)
    wake()
  }
  socket.addEventListener("open", () => socket.send(JSON.stringify(first)))
  socket.addEventListener(
    "message",
    notice((event) => waiting.push(JSON.parse(event.data))),
  )
  socket.addEventListener(
    "close",
    notice((event) => (closed = event)),
  )
  try {
    while (true) {
      while (waiting.length) yield waiting.shift()
      if (closed) break
      await new Promise((resolve) => (wake = resolve))
    }
    if (closed.code !== NORMAL_CLOSE) throw new ConnectionLost()
  } finally {
    socket.close()
  }
}
