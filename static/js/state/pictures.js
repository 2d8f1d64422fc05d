/** Pictures as the page handles them, made from what the wire says, and the addresses they have. */

import { readMetadata } from "./metadata.js"

/** Each part of a path as it may stand in an address. */
export function encoded(path) {
  return path.split("/").map(encodeURIComponent).join("/")
}

/** Where the pictures of a user lie, relative to the page. `session` is the answer of GetNewSession. */
export function viewRoot(session) {
  return session.output_append_user ? `View/${session.user_id}/` : "Output/"
}

/** A file of ListImages. `folder` is the path that was listed. */
export function fromHistory(file, folder, session) {
  const path = folder ? `${folder}/${file.src}` : file.src
  const url = encoded(viewRoot(session) + path)
  return {
    key: path,
    url,
    preview: `${url}?preview=true`,
    path,
    metadata: file.metadata,
    starred: Boolean(readMetadata(file.metadata)?.starred),
  }
}

/** The numbers on the wire of what is no picture of its own: steps on the way to one, and several on one sheet. */
const SHEET = -1
const FIRST_STEP = -11

/** What an image message with this number shows: a "final" picture, an "intermediate" one, or a "sheet" of several. */
export function roleOf(index) {
  if (index <= FIRST_STEP) return "intermediate"
  return index === SHEET ? "sheet" : "final"
}

/** How it is called where it is shown; null for a final picture, which needs no words. */
export function roleName({ role, metadata }) {
  if (role === "sheet") return "Overview"
  const isIntermediate = role === "intermediate" || readMetadata(metadata)?.extra.intermediate
  return isIntermediate ? "Intermediate" : null
}

/** An image message of the generation socket: a file that was saved, or the picture itself when it was not. */
export function fromImage(message, key, session) {
  if (message.image.startsWith("data:")) {
    return {
      key,
      url: message.image,
      preview: message.image,
      path: null,
      metadata: message.metadata ?? null,
      starred: false,
    }
  }
  const url = encoded(message.image)
  const root = viewRoot(session)
  const path = message.image.startsWith(root) ? message.image.slice(root.length) : null
  return { key, url, preview: `${url}?preview=true`, path, metadata: message.metadata ?? null, starred: false }
}

/** Whether it plays: a video file. Animated pictures are pictures. */
export function isVideo({ url }) {
  return Boolean(url) && (url.startsWith("data:video/") || /\.(mp4|webm|mov)$/.test(url))
}

/** The small version that a list shows; null when there is nothing to be seen yet. */
export function thumbnail(picture) {
  if (picture.preview && !picture.preview.startsWith("data:video/")) return picture.preview
  return isVideo(picture) ? null : picture.url
}

/** The name under which a picture is downloaded. */
export function fileName(picture) {
  if (picture.path) return picture.path.split("/").pop()
  const [, kind = "image", ending = "png"] = /^data:(\w+)\/(\w+)/.exec(picture.url) ?? []
  return `${kind === "video" ? "video" : "picture"}.${ending === "quicktime" ? "mov" : ending}`
}
