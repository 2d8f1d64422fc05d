/** Passwords as they are sent: hashed with the name, so that what someone types never travels as it is. */

const PREFIX = "swarmclientpw:"
const UNHASHED = "__swarmdoprehash:"

/** The name as the server keeps it: letters, digits and _ in lower case. */
export function accountName(name) {
  return name.replace(/[^A-Za-z0-9_]/g, "").toLowerCase()
}

/** What is sent for a password. Browsers have no hashing on plain http: there the server does it. */
export async function sentPassword(name, password, crypto = globalThis.crypto?.subtle) {
  const text = `${PREFIX}${accountName(name)}:${password}`
  if (!crypto) return UNHASHED + text
  const hash = await crypto.digest("SHA-256", new TextEncoder().encode(text))
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("")
}
