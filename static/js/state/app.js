/** The one place where the page's state is put together and its parts are told about each other. */

import { Client } from "../api/client.js"
import { memory } from "../lib/storage.js"
import { Connection } from "./connection.js"
import { Downloads } from "./downloads.js"
import { Generation } from "./generation.js"
import { History } from "./history.js"
import { Notices } from "./notices.js"
import { Params } from "./params.js"
import { Selection } from "./selection.js"
import { Store } from "./store.js"

const MODEL_DEPTH = 20
const INTERRUPTED = "Generation session interrupted."

export const settings = memory("local")
export const client = new Client({
  base: document.baseURI,
  fetch: (...request) => fetch(...request),
  memory: memory("session"),
  onNobody: () => location.replace(new URL("Login", document.baseURI)),
})
export const notices = new Notices()
export const connection = new Connection({ client })
export const params = new Params(settings)
export const generation = new Generation({ client })
export const history = new History({ client })
export const downloads = new Downloads({ client })
export const selection = new Selection()
/** Has the page been loaded, and may this user do things? */
export const page = new Store({ isLoaded: false, permissions: [] })

/** Does the user hold `permission`? */
export function may(permission) {
  return page.value.permissions.includes("*") || page.value.permissions.includes(permission)
}

/** Read what can be asked for and which models there are. `route` TriggerRefresh looks at the disk again first. */
export async function load(route = "ListT2IParams") {
  const session = await client.session()
  const declared = await client.call(route)
  params.declare(declared)
  params.know(await listModels(declared))
  page.update({ isLoaded: true, permissions: session.permissions ?? [] })
}

/** The models with title and picture; with names only, if the user may not list them. */
async function listModels(declared) {
  try {
    const { files } = await client.call("ListModels", { path: "", depth: MODEL_DEPTH, subtype: "Stable-Diffusion" })
    return files.map((file) => ({ ...file, name: withoutEnding(file.name) }))
  } catch (error) {
    if (error.id === "unreachable") throw error
    return declared.models["Stable-Diffusion"].map(([name, family]) => ({
      name: withoutEnding(name),
      title: null,
      architecture: family,
    }))
  }
}

function withoutEnding(name) {
  return name.replace(/\.safetensors$/, "")
}

/** Make pictures with the current choices; `changes` replace parameters of this one request. */
export function generate(changes = {}) {
  if (!params.model) {
    notices.fail("There is no model to make pictures with.")
    return
  }
  selection.follow(() => generation.pictures)
  const request = { ...params.request(), ...changes }
  const images = Number(changes.images ?? params.value("images") ?? 1)
  generation.start(request, images, Number(request.batchsize ?? 1))
}

/** Stop everything that this page waits for. */
export async function interrupt() {
  try {
    await generation.interrupt()
  } catch (error) {
    notices.fail(error)
  }
}

function connect() {
  generation.addEventListener("status", ({ detail }) => connection.take(detail))
  generation.addEventListener("refused", ({ detail }) =>
    detail === INTERRUPTED ? notices.say(detail) : notices.fail(detail),
  )
  generation.addEventListener("picture", ({ detail }) => history.add(detail))
  generation.addEventListener("idle", () => connection.poll())
  generation.addEventListener("change", showNewest)
  generation.addEventListener("lost", () => {
    notices.fail("The connection was lost. The server goes on with your pictures; they will appear in the history.")
    connection.poll()
  })
  connection.addEventListener("change", () => params.offer(connection.value.features))
  tellOnce()
  watchReturn()
  document.addEventListener("visibilitychange", () => document.hidden || connection.poll())
}

/** Keep the stage on the picture that is being made, or on the last one made. */
function showNewest() {
  const pictures = generation.pictures
  const live = generation.newest
  if (live && generation.isRunning) selection.offer(live)
  const shown = selection.current
  const mine = shown && pictures.find((picture) => picture.key === shown.key)
  if (mine && mine !== shown) selection.offer(mine)
  else if (shown && !mine && !shown.url) selection.drop(shown.key)
}

/** What the server wants people to know stands in the page as it was sent; what is said later, after a restart, is told. */
function tellOnce() {
  const known = new Set([...document.querySelectorAll(".notice")].map(({ textContent }) => textContent))
  connection.addEventListener("change", () => {
    for (const text of connection.value.notices.filter((each) => !known.has(each))) {
      known.add(text)
      notices.fail(text)
    }
  })
}

/** When the server is back, or has finished what a lost socket began, read again what may have changed. */
function watchReturn() {
  let before = { reachable: true, isBusy: false }
  connection.addEventListener("change", () => {
    const now = { reachable: connection.value.reachable, isBusy: connection.isBusy }
    if (now.reachable && !before.reachable) {
      notices.say("Connected again.")
      reload()
    } else if (before.isBusy && !now.isBusy && !generation.isRunning) history.refresh()
    before = now
  })
}

async function reload() {
  try {
    await load()
    await history.refresh()
  } catch (error) {
    if (error.id !== "unreachable") notices.fail(error)
  }
}

/** Start the page. */
export async function start() {
  connect()
  await Promise.all([reload(), connection.poll()])
}
