import assert from "node:assert/strict"
import { test } from "node:test"
import { ConnectionLost } from "../../static/js/api/stream.js"
import { Generation } from "../../static/js/state/generation.js"
import { fromHistory, roleName } from "../../static/js/state/pictures.js"
import { Selection } from "../../static/js/state/selection.js"

const CLIENT = { session: async () => ({ user_id: "local", output_append_user: true }) }
const image = (index) => ({ image: `View/local/raw/${index}.png`, batch_index: String(index), metadata: null })
const progress = (index, percent, preview) => ({
  gen_progress: {
    batch_index: String(index),
    overall_percent: percent,
    current_percent: percent,
    ...(preview && { preview }),
  },
})

/** A generation whose socket says `script`; functions in it are called with the generation, errors are thrown. */
function scripted(script, now = () => 0) {
  const generation = new Generation({
    client: CLIENT,
    now,
    async *generate() {
      for (const step of script) {
        if (step instanceof Error) throw step
        if (typeof step === "function") step(generation)
        else yield step
      }
    },
  })
  return generation
}

test("pictures appear with their progress, then finished", async () => {
  const seen = []
  const generation = scripted([
    progress(0, 0.5, "data:p"),
    (now) => seen.push(now.pictures[0], now.progress),
    image(0),
    (now) => seen.push(now.progress),
  ])
  await generation.start({}, 2)
  assert.deepEqual([seen[0].preview, seen[0].percent, seen[0].isDone], ["data:p", 0.5, false])
  assert.equal(seen[1].fraction, 0.25)
  assert.equal(seen[2].done, 1)
  assert.deepEqual(
    generation.pictures.map(({ path, isDone }) => [path, isDone]),
    [["raw/0.png", true]],
  )
  assert.equal(generation.isRunning, false)
})

test("a preview stays when the next message has none, and zero percent is no step back", async () => {
  let seen
  const generation = scripted([progress(0, 0.4, "data:p"), progress(0, 0), (now) => (seen = now.pictures[0]), image(0)])
  await generation.start({}, 1)
  assert.deepEqual([seen.preview, seen.percent], ["data:p", 0.4])
})

test("pictures that were interrupted or discarded leave the strip", async () => {
  const generation = scripted([
    progress(0, 0.4),
    image(1),
    progress(2, 0.1),
    image(3),
    { error: "Generation session interrupted." },
    { discard_indices: [3] },
  ])
  const refusals = []
  generation.addEventListener("refused", ({ detail }) => refusals.push(detail))
  await generation.start({}, 4)
  assert.deepEqual(
    generation.pictures.map(({ path }) => path),
    ["raw/1.png"],
  )
  assert.deepEqual(refusals, ["Generation session interrupted."])
})

test("grids and intermediate pictures are shown but not counted", async () => {
  let done
  const generation = scripted([image(-11), image(0), image(-1), (now) => (done = now.progress.done)])
  await generation.start({}, 1)
  assert.equal(done, 1)
  assert.equal(generation.pictures.length, 3)
})

test("what is no final picture is called so, and is not what the stage shows", async () => {
  const generation = scripted([image(0), image(-11), image(-1)])
  await generation.start({}, 1)
  assert.deepEqual(
    generation.pictures.map((picture) => roleName(picture)),
    [null, "Intermediate", "Overview"],
  )
  assert.equal(generation.newest.index, 0)
  const metadata = JSON.stringify({ sui_extra_data: { intermediate: "intermediate output" } })
  const file = fromHistory({ src: "raw/step.png", metadata }, "", { user_id: "local", output_append_user: true })
  assert.equal(roleName(file), "Intermediate")
})

test("two requests have their own pictures and one progress", async () => {
  const generation = scripted([image(0)])
  await Promise.all([generation.start({}, 1), generation.start({}, 1)])
  assert.equal(new Set(generation.pictures.map(({ key }) => key)).size, 2)
})

test("a broken socket is told apart from a refusal", async () => {
  const generation = scripted([progress(0, 0.5), new ConnectionLost()])
  let lost = 0
  generation.addEventListener("lost", () => (lost += 1))
  await generation.start({}, 1)
  assert.deepEqual([lost, generation.pictures.length], [1, 0])
})

test("the time left is said once there is something to go by", async () => {
  let clock = 0
  const left = []
  const note = (now) => left.push(now.progress.secondsLeft)
  const generation = scripted(
    [progress(0, 0.001), note, () => (clock = 4000), progress(0, 0.25), note, image(0)],
    () => clock,
  )
  await generation.start({}, 1)
  assert.deepEqual(left, [null, 12])
})

test("the stage follows the run until the user chooses", () => {
  const selection = new Selection()
  const pictures = [
    { key: "a", url: "a" },
    { key: "b", url: "b" },
    { key: "c", url: "c" },
  ]
  const list = () => pictures
  selection.follow(list)
  selection.offer(pictures[0])
  selection.choose(pictures[2], list)
  selection.offer(pictures[1])
  assert.equal(selection.current.key, "c")
  selection.move(-1)
  assert.equal(selection.current.key, "b")
  selection.drop("b")
  assert.equal(selection.current.key, "c")
  assert.equal(selection.neighbour(1), null)
})
