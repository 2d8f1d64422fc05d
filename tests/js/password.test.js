import assert from "node:assert/strict"
import { test } from "node:test"
import { Client } from "../../static/js/api/client.js"
import { accountName, sentPassword } from "../../static/js/lib/password.js"
import { freshMemory } from "./support/wire.js"

test("a password is sent as the hash that SwarmUI's page sends", async () => {
  const hash = "493b27957ca11f9c18fb2680b5f3915f9776f96cac951cf7dcba58c9c52cbdc2"
  const sent = await sentPassword("Anna!", "staple battery")
  assert.equal(sent, hash)
  assert.equal(sent, await sentPassword("anna", "staple battery"))
  assert.notEqual(sent, await sentPassword("bert", "staple battery"))
})

test("without crypto the server is asked to hash", async () => {
  assert.equal(await sentPassword("Anna", "pass:word", null), "__swarmdoprehash:swarmclientpw:anna:pass:word")
})

test("names lose what the server drops", () => {
  assert.equal(accountName(" An-na_1é"), "anna_1")
})

test("a page whose login has ended is told so", async () => {
  let left = 0
  const fetch = async () => ({ status: 200, json: async () => ({ error: "Invalid or unauthorized." }) })
  const client = new Client({ base: "http://host/", fetch, memory: freshMemory(), onNobody: () => left++ })
  await assert.rejects(client.call("GetCurrentStatus"), /Invalid or unauthorized/)
  assert.equal(left, 1)
})
