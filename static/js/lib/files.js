/** Picture files in and out of the page. */

/** The bytes of a file or an answer as a data: URL. */
export function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(reader.result)
    reader.onerror = () => reject(new Error("The picture could not be read."))
    reader.readAsDataURL(blob)
  })
}

/** Fetch a picture of this server as a data: URL; one that already is such a URL is returned as it is. */
export async function fetchDataUrl(url) {
  if (url.startsWith("data:")) return url
  const answer = await fetch(url)
  if (!answer.ok) throw new Error("The picture could not be loaded.")
  return dataUrl(await answer.blob())
}

/** The kinds of picture that browsers show and the server reads. */
const KINDS = new Set(["png", "jpeg", "webp", "gif", "bmp", "avif"].map((kind) => `image/${kind}`))

/** The same, as a file dialog wants it. */
export const ACCEPTED = [...KINDS].join(",")

/** The pictures among dropped or pasted things. */
export function picturesOf(transfer) {
  return [...(transfer?.files ?? [])].filter((file) => file.type.startsWith("image/"))
}

/** The first of them, or null. */
export function pictureOf(transfer) {
  return picturesOf(transfer)[0] ?? null
}

/** A file as a data: URL of a picture; throws the sentence that says why it is none. */
export async function readPicture(file) {
  if (!KINDS.has(file.type)) throw new Error(`"${file.name}" is not a picture that can be used here.`)
  try {
    const url = await dataUrl(file)
    await sizeOf(url)
    return url
  } catch {
    throw new Error(`"${file.name}" could not be read as a picture.`)
  }
}

/** Width and height of a picture once the browser has decoded it. */
export async function sizeOf(url) {
  const image = new Image()
  image.src = url
  await image.decode()
  return { width: image.naturalWidth, height: image.naturalHeight }
}
