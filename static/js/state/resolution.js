/** Width and height from an aspect ratio and a side length: the wire's table, so the page shows what will be made. */

const RATIOS = {
  "1:1": [512, 512],
  "4:3": [576, 448],
  "3:2": [608, 416],
  "8:5": [608, 384],
  "16:9": [672, 384],
  "21:9": [768, 320],
  "3:4": [448, 576],
  "2:3": [416, 608],
  "5:8": [384, 608],
  "9:16": [384, 672],
  "9:21": [320, 768],
}

/** To the nearest multiple of `precision`; a tie goes to the even multiple, as the server does it. */
export function roundTo(value, precision) {
  const exact = value / precision
  const down = Math.floor(exact)
  if (exact - down !== 0.5) return Math.round(exact) * precision
  return (down % 2 ? down + 1 : down) * precision
}

/** The size a named ratio gives at `side`, or null for "Custom" and unknown ratios. */
export function sizeFor(ratio, side, precision = 16) {
  const reference = RATIOS[ratio]
  if (!reference) return null
  const [width, height] = reference.map((part) => roundTo((part * side) / 512, precision))
  return { width, height }
}

/** The side length of a square with as many pixels as the model's own size; null when the model names none. */
export function sideOf(model) {
  const pixels = (model?.standard_width ?? 0) * (model?.standard_height ?? 0)
  return pixels > 0 ? Math.round(Math.sqrt(pixels)) : null
}
