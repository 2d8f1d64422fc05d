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

/** The first picture among dropped or pasted things, or null. */
export function pictureOf(transfer) {
  return [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/")) ?? null
}

/** Width and height of a picture once the browser has decoded it. */
export async function sizeOf(url) {
  const image = new Image()
  image.src = url
  await image.decode()
  return { width: image.naturalWidth, height: image.naturalHeight }
}
