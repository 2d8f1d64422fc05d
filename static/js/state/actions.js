/** What can be done with a picture, wherever it is shown. */

import { fetchDataUrl, readPicture, sizeOf } from "../lib/files.js"
import { client, generate, generation, history, may, notices, params, selection } from "./app.js"
import { readMetadata } from "./metadata.js"
import { isVideo } from "./pictures.js"

const HERE = new Set(["localhost", "127.0.0.1", "[::1]"])
/** How much an enlargement may invent. */
const UPSCALE_CREATIVITY = 0.4

/** Runs `act`; a refusal becomes a notice. Resolves to whether it went well. */
async function attempt(act) {
  try {
    await act()
    return true
  } catch (error) {
    notices.fail(error)
    return false
  }
}

export function canReuse(picture) {
  return Object.keys(readMetadata(picture.metadata)?.params ?? {}).length > 0
}

/** Set prompts and parameters to what made this picture. */
export function reuseParameters(picture) {
  params.reuse(readMetadata(picture.metadata))
  notices.say("The parameters of this picture are set.")
}

export function canStar(picture) {
  return picture.path !== null && may("user_star_images")
}

export function toggleStar(picture) {
  return attempt(async () => {
    const { new_state: starred } = await client.call("ToggleImageStarred", { path: picture.path })
    history.mark(picture.path, starred)
    generation.mark(picture.path, starred)
    selection.mark(picture.path, starred)
    if (!starred && picture.path.startsWith("Starred/")) await history.refresh()
  })
}

export function canDelete(picture) {
  return picture.path !== null && may("user_delete_image")
}

export function remove(picture) {
  return attempt(async () => {
    await client.call("DeleteImage", { path: picture.path })
    selection.drop(picture.key)
    history.remove(picture.path)
    generation.remove(picture.path)
  })
}

export function canStartFrom(picture) {
  return params.has("initimage") && !isVideo(picture)
}

/** Take this picture as the init image. Resolves to whether it is one now. */
export function startFrom(picture) {
  return take(() => fetchDataUrl(picture.url))
}

/** Take a picture file of this computer as the init image; null does nothing. */
export async function startFromFile(file) {
  if (file && params.has("initimage")) await take(() => readPicture(file))
}

function take(read) {
  return attempt(async () => {
    params.set("initimage", await read())
    notices.say("This picture is now the init image.")
  })
}

export function canInpaint(picture) {
  return canStartFrom(picture) && params.has("maskimage")
}

export function canPrompt(picture) {
  return params.has("promptimages") && !isVideo(picture)
}

/** Add this picture to those that come with the prompt. */
export function promptWith(picture) {
  return attempt(async () => {
    params.set("promptimages", [...params.value("promptimages"), await fetchDataUrl(picture.url)])
    notices.say("This picture comes with the prompt now.")
  })
}

export function canUpscale(picture) {
  return canStartFrom(picture) && Boolean(params.model) && params.has("width") && params.has("height")
}

/** Make this picture again, twice as large: with its own prompts, and the other parameters as they are chosen now. */
export function upscale(picture) {
  return attempt(async () => {
    const initimage = await fetchDataUrl(picture.url)
    const { width, height } = await sizeOf(initimage)
    const most = params.params.get("width").max
    if (2 * Math.max(width, height) > most) throw new Error(`This picture is too large: ${most} pixels are the most.`)
    generate({
      ...promptsOf(picture),
      initimage,
      initimagecreativity: UPSCALE_CREATIVITY,
      maskimage: undefined,
      images: 1,
      batchsize: 1,
      ...sized(2 * width, 2 * height),
    })
    notices.say("This picture is being made twice as large.")
  })
}

/** What the picture was made from, as far as it is known. */
function promptsOf(picture) {
  const { prompt, negativeprompt } = readMetadata(picture.metadata)?.params ?? {}
  return prompt ? { prompt, negativeprompt } : {}
}

/** The parameters that say a size, whatever else was chosen about it; undefined ones are not sent. */
function sized(width, height) {
  return { aspectratio: "Custom", sidelength: undefined, rawresolution: undefined, width, height }
}

export function canCopyMetadata(picture) {
  return Boolean(picture.metadata && navigator.clipboard)
}

/** Put the metadata, as the file holds it, into the clipboard. */
export function copyMetadata(picture) {
  return attempt(async () => {
    await navigator.clipboard.writeText(picture.metadata)
    notices.say("The metadata is in the clipboard.")
  })
}

/** The folder opens on the screen of the server's machine, so that only who sits there is offered it. */
export function canOpenFolder(picture) {
  return picture.path !== null && may("local_image_folder") && HERE.has(location.hostname)
}

export function openFolder(picture) {
  return attempt(() => client.call("OpenImageFolder", { path: picture.path }))
}
