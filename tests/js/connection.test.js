import assert from "node:assert/strict"
import { test } from "node:test"
import { ApiError } from "../../static/js/api/client.js"
import { Connection } from "../../static/js/state/connection.js"

const STATUS = {
  status: { waiting_gens: 0, loading_models: 0, waiting_backends: 0, live_gens: 0 },
  backend_status: { status: "running", class: "", message: "", any_loading: false },
  supported_features: ["fake"],
}

/** A connection to a server that gives these answers, one after the other. */
function connected(...answers) {
  const client = {
    async call() {
      const answer = answers.shift()
      if (answer instanceof Error) throw answer
      return answer
    },
  }
  return new Connection({ client, later: () => null })
}

test("what the server wants people to know stays known while a socket does not repeat it", async () => {
  const connection = connected({ ...STATUS, notices: ["swarm.db was damaged."] })
  assert.deepEqual(connection.value.notices, [])
  await connection.poll()
  connection.take(STATUS)
  assert.deepEqual(connection.value.notices, ["swarm.db was damaged."])
})

test("a server that does not answer is not reachable, one that refuses is", async () => {
  const connection = connected(new ApiError("gone", "unreachable"), new ApiError("no", "not_permitted"))
  await connection.poll()
  assert.equal(connection.value.reachable, false)
  await connection.poll()
  assert.equal(connection.value.reachable, true)
})
