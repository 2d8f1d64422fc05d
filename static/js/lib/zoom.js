/** How a picture lies in a window that is smaller or larger than it: scales, and places on the screen. */

const MOST = 16
const LEAST = 0.02

/** The scale at which a picture of `size` is seen whole in `room`; never larger than four times. */
export function fitting(size, room) {
  return within(Math.min(room.width / size.width, room.height / size.height, 4))
}

/** `scale` within what makes sense. */
export function within(scale) {
  return Math.min(Math.max(scale, LEAST), MOST)
}

/** A place on the screen as a place on the picture, which is shown in `rect` and has `size`. */
export function onPicture({ clientX, clientY }, rect, size) {
  return {
    x: ((clientX - rect.left) * size.width) / rect.width,
    y: ((clientY - rect.top) * size.height) / rect.height,
  }
}

/** The other way round. */
export function onScreen({ x, y }, rect, size) {
  return { clientX: rect.left + (x * rect.width) / size.width, clientY: rect.top + (y * rect.height) / size.height }
}

/** What two fingers did: how far apart they went, where their middle is and how far it moved. */
export function pinched(before, now) {
  const spread = ([one, other]) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY)
  const middle = ([one, other]) => ({
    clientX: (one.clientX + other.clientX) / 2,
    clientY: (one.clientY + other.clientY) / 2,
  })
  const [was, is] = [middle(before), middle(now)]
  return {
    factor: spread(now) / Math.max(1, spread(before)),
    middle: is,
    moved: { x: is.clientX - was.clientX, y: is.clientY - was.clientY },
  }
}
