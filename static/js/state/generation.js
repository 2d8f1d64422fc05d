/**
 * The pictures being made by this page. Fires "change" for anything that can be seen, "picture" with a finished one,
 * "status" with the server's counters, "refused" with a sentence, "lost" when the socket broke, "idle" after the last.
 */

import { generate as stream, ConnectionLost } from "../api/stream.js"
import { fromImage, roleOf } from "./pictures.js"

const KEPT = 200

/** One press of Generate. */
class Run {
  static #count = 0

  constructor(expected) {
    this.id = `run${++Run.#count}`
    this.expected = expected
    this.done = 0
  }
  key(index) {
    return `${this.id}/${index}`
  }
}

export class Generation extends EventTarget {
  #client
  #stream
  #now
  #runs = new Set()
  #finished = { done: 0, expected: 0 }
  #since = null

  /** @type {(import("../api/types.js").Picture & {run: string, index: number, role: string, percent: number, isDone: boolean})[]} */
  pictures = []

  constructor({ client, generate = stream, now = () => Date.now() }) {
    super()
    this.#client = client
    this.#stream = generate
    this.#now = now
  }

  get isRunning() {
    return this.#runs.size > 0
  }

  /** How far all running requests are together; `secondsLeft` is null while nothing can be said. */
  get progress() {
    const runs = [...this.#runs]
    const expected = this.#finished.expected + runs.reduce((sum, run) => sum + run.expected, 0)
    const done = this.#finished.done + runs.reduce((sum, run) => sum + run.done, 0)
    const begun = this.pictures.filter((picture) => !picture.isDone).reduce((sum, picture) => sum + picture.percent, 0)
    const fraction = expected ? Math.min(1, (done + begun) / expected) : 0
    return { expected, done, fraction, secondsLeft: this.#secondsLeft(fraction) }
  }

  /** What the stage shows by itself: the picture being made, else the last finished one, rather a final one. */
  get newest() {
    const finished = this.pictures.filter((picture) => picture.isDone)
    return (
      this.pictures.find((picture) => !picture.isDone && picture.preview) ??
      finished.findLast((picture) => picture.role === "final") ??
      finished.at(-1)
    )
  }

  /** How many pictures of the running requests have not begun. */
  get waiting() {
    const { expected, done } = this.progress
    return Math.max(0, expected - done - this.pictures.filter((picture) => !picture.isDone).length)
  }

  /** Make `images` pictures of `batchSize` each. Ends when the server is done with them; failures become events. */
  async start(request, images, batchSize = 1) {
    const run = new Run(images * batchSize)
    this.#runs.add(run)
    this.#changed()
    try {
      const session = await this.#client.session()
      for await (const message of this.#stream(this.#client, { ...request, images })) this.#take(run, message, session)
    } catch (error) {
      this.#fire(error instanceof ConnectionLost ? "lost" : "refused", error.message)
    } finally {
      this.#end(run)
    }
  }

  /** Ask the server to stop everything this session waits for. */
  interrupt() {
    return this.#client.call("InterruptAll", { other_sessions: false })
  }

  /** Forget the finished pictures of the strip; the files stay. */
  clear() {
    this.pictures = this.pictures.filter((picture) => !picture.isDone)
    this.#changed()
  }

  remove(path) {
    this.pictures = this.pictures.filter((picture) => picture.path !== path)
    this.#changed()
  }

  mark(path, starred) {
    this.pictures = this.pictures.map((picture) => (picture.path === path ? { ...picture, starred } : picture))
    this.#changed()
  }

  #take(run, message, session) {
    if (message.status) this.#fire("status", message)
    if (message.gen_progress) this.#progress(run, message.gen_progress)
    if (message.image) this.#image(run, message, session)
    if (message.discard_indices?.length) this.#discard(run, message.discard_indices)
    if (message.error) this.#fire("refused", message.error)
  }

  #progress(run, { batch_index: index, overall_percent: percent, preview, metadata }) {
    this.#since ??= this.#now()
    const known = this.pictures.find((picture) => picture.key === run.key(index))
    if (known?.isDone) return
    const before = known ?? {
      key: run.key(index),
      run: run.id,
      index: Number(index),
      url: null,
      preview: null,
      path: null,
      metadata: null,
      starred: false,
      isDone: false,
      percent: 0,
    }
    this.#put({
      ...before,
      percent: percent || before.percent,
      preview: preview ?? before.preview,
      metadata: metadata ?? before.metadata,
    })
  }

  #image(run, message, session) {
    const picture = {
      ...fromImage(message, run.key(message.batch_index), session),
      run: run.id,
      index: Number(message.batch_index),
      role: roleOf(Number(message.batch_index)),
      percent: 1,
      isDone: true,
    }
    if (picture.index >= 0) run.done += 1
    this.#put(picture)
    this.#fire("picture", picture)
  }

  #discard(run, indices) {
    const keys = new Set(indices.map((index) => run.key(index)))
    this.pictures = this.pictures.filter((picture) => !keys.has(picture.key))
    this.#changed()
  }

  #put(picture) {
    const index = this.pictures.findIndex((known) => known.key === picture.key)
    this.pictures = index < 0 ? this.#inserted(picture).slice(-KEPT) : this.pictures.with(index, picture)
    this.#changed()
  }

  /** Pictures of one run stand in the order of their numbers, however they arrive; grids and the like come last. */
  #inserted(picture) {
    const place =
      picture.index < 0
        ? -1
        : this.pictures.findIndex(
            (known) => known.run === picture.run && (known.index < 0 || known.index > picture.index),
          )
    return place < 0 ? [...this.pictures, picture] : this.pictures.toSpliced(place, 0, picture)
  }

  #end(run) {
    this.#runs.delete(run)
    this.#finished.done += run.done
    this.#finished.expected += run.done
    this.pictures = this.pictures.filter((picture) => picture.isDone || picture.run !== run.id)
    if (!this.#runs.size) {
      this.#finished = { done: 0, expected: 0 }
      this.#since = null
    }
    this.#changed()
    if (!this.#runs.size) this.#fire("idle")
  }

  #secondsLeft(fraction) {
    const spent = this.#since === null ? 0 : (this.#now() - this.#since) / 1000
    return spent > 1 && fraction > 0.02 ? (spent * (1 - fraction)) / fraction : null
  }

  #changed() {
    this.dispatchEvent(new Event("change"))
  }

  #fire(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }))
  }
}
