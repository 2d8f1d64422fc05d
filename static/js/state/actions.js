/** What can be done with a picture, wherever it is shown. */

import { dataUrl, fetchDataUrl } from "../lib/files.js"
import { client, generation, history, may, notices, params, selection } from "./app.js"
import { readMetadata } from "./metadata.js"
import { isVideo } from "./pictures.js"

/** Runs `act`; a refusal becomes a notice. */
async function attempt(act) {
  try {
    await act()
  } catch (error) {
    notices.fail(error)
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

/** Take this picture as the init image. */
export function startFrom(picture) {
  return take(() => fetchDataUrl(picture.url))
}

/** Take a picture file of this computer as the init image; null does nothing. */
export async function startFromFile(file) {
  if (file && params.has("initimage")) await take(() => dataUrl(file))
}

function take(read) {
  return attempt(async () => {
    params.set("initimage", await read())
    notices.say("This picture is now the init image.")
  })
}
