/** Masks as pixels (RGBA, 0 to 255). While one is drawn, opaque means white: to be made anew. */

const HALF = 128

/** Make a layer a mask: opaque becomes white, clear becomes black, nothing lies between. Answers how many are white. */
export function blackAndWhite(pixels) {
  let white = 0
  for (let at = 0; at < pixels.length; at += 4) {
    const isMarked = pixels[at + 3] >= HALF
    pixels.fill(isMarked ? 255 : 0, at, at + 3)
    pixels[at + 3] = 255
    if (isMarked) white += 1
  }
  return white
}

/** Make a mask a layer: its red channel, which is what the server reads, becomes the opacity. */
export function layered(pixels) {
  for (let at = 0; at < pixels.length; at += 4) pixels[at + 3] = (pixels[at] * pixels[at + 3]) / 255
}
