/** Lists of elements that follow lists of data, without losing focus, scroll position or loaded pictures. */

/**
 * Make the children of `parent` match `items`: known ones are kept and updated, new ones made, the rest removed.
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {{key: (item: T) => string, make: (item: T) => Element, update?: (element: Element, item: T) => void}} how
 */
export function follow(parent, items, { key, make, update }) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]))
  let place = parent.firstElementChild
  for (const item of items) {
    const name = key(item)
    let child = known.get(name)
    if (!child) {
      child = make(item)
      child.dataset.key = name
    }
    known.delete(name)
    update?.(child, item)
    if (child === place) place = place.nextElementSibling
    else parent.insertBefore(child, place)
  }
  for (const gone of known.values()) gone.remove()
}

/** Set an attribute, or take it away when `value` is null or false. */
export function attribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name)
  else element.setAttribute(name, value === true ? "" : value)
}

/** Show a video, or (`url` null) none: it stops, and its file is let go. */
export function play(video, url) {
  video.hidden = url === null
  if (url !== null) source(video, url)
  else if (video.hasAttribute("src")) {
    video.removeAttribute("src")
    video.load()
  }
}

/** Change the address of a picture only when it differs, so that it does not flicker. */
export function source(image, url) {
  if (image.getAttribute("src") !== url) image.setAttribute("src", url)
}
