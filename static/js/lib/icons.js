/** Line icons on a 24 by 24 grid, drawn for this page. They take the colour and the size of the text around them. */

import { Markup, html } from "./html.js"

const PATHS = {
  reuse: "M4 9h11a5 5 0 0 1 0 10H8M8 5 4 9l4 4",
  star: "m12 3.6 2.6 5.3 5.8.8-4.2 4.1 1 5.8-5.2-2.7-5.2 2.7 1-5.8L3.6 9.7l5.8-.8z",
  download: "M12 4v11m0 0 4.5-4.5M12 15l-4.5-4.5M5 19.5h14",
  trash: "M4.5 7h15M9.5 7V4.5h5V7M6.5 7l.9 12.5h9.2L17.5 7M10.2 11v5M13.8 11v5",
  picture: "M4 5h16v14H4zM4 16l4.5-4.5 4 4 2.5-2.5 5 5M15.5 9.2h.01",
  expand: "M14.5 4.5h5v5M9.5 19.5h-5v-5M19.5 4.5l-6 6M4.5 19.5l6-6",
  close: "M6 6l12 12M18 6 6 18",
  chevron: "m9 5.5 6.5 6.5L9 18.5",
  back: "M15 5.5 8.5 12l6.5 6.5",
  search: "M10.8 17a6.2 6.2 0 1 0 0-12.4 6.2 6.2 0 0 0 0 12.4zM15.5 15.5 20 20",
  refresh: "M19.5 12a7.5 7.5 0 1 1-2.2-5.3L19.5 9M19.5 4.5V9H15",
  sun: "M12 15.8a3.8 3.8 0 1 0 0-7.6 3.8 3.8 0 0 0 0 7.6zM12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M18.4 5.6 17 7M7 17 5.6 18.4",
  moon: "M19.5 14.2A8 8 0 1 1 9.8 4.5a6.4 6.4 0 0 0 9.7 9.7z",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  random: "M4 7h3l9 10h4M4 17h3l2.7-3M13.3 10 16 7h4M17.5 4.5 20 7l-2.5 2.5M17.5 14.5 20 17l-2.5 2.5",
  plus: "M12 5.5v13M5.5 12h13",
  minus: "M5.5 12h13",
  help: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 11v5.5M12 7.8h.01",
  undo: "M5 5v5h5M5.6 10A7.5 7.5 0 1 1 5 14.5",
  redo: "M19 5v5h-5M18.4 10A7.5 7.5 0 1 0 19 14.5",
  brush: "M19.5 4.5c-3.5 1.5-7.5 5-9.5 8.5l1.5 1.5c3.5-2 6.5-6 8-10zM9 14.5c-2 0-3 1.3-3 2.8 0 1.2-.8 1.9-2 2.2 2.5.9 6.5.4 6.5-3z",
  eraser: "M9 19.5h10.5M13.5 5 5 13.5l5 5h2L19 11.5zM8.8 9.8l5.7 5.7",
  upscale: "M4 13.5h6.5V20H4zM13.5 10.5 20 4m-5.5 0H20v5.5M4 9.5V4h6.5M14.5 20H20v-5.5",
  copy: "M9 8.5h10.5v11H9zM15.5 8.5v-4H4.5v11H9",
  folder: "M3.5 6h6l2 2.5h9v10h-17z",
  pictures: "M7.5 4.5h12v12h-12zM4.5 8v11.5H16M7.5 13.5l3.5-3 3 3 1.5-1.5 4 3.5",
  server: "M4 4.5h16v6.5H4zM4 13.5h16v6H4zM7.5 7.8h.01M7.5 16.5h.01",
  person: "M12 12a3.8 3.8 0 1 0 0-7.6 3.8 3.8 0 0 0 0 7.6zM5 20a7 7 0 0 1 14 0",
  people: "M9 11.5a3.3 3.3 0 1 0 0-6.6 3.3 3.3 0 0 0 0 6.6zM3 19.5a6 6 0 0 1 12 0M15.5 5.2a3.3 3.3 0 0 1 0 6M17.5 14.5a6 6 0 0 1 3.5 5",
  more: "M5 12a1 1 0 1 0 2 0a1 1 0 1 0-2 0M11 12a1 1 0 1 0 2 0a1 1 0 1 0-2 0M17 12a1 1 0 1 0 2 0a1 1 0 1 0-2 0",
  stop: "M7 7h10v10H7z",
  sliders: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5",
  check: "m5 12.5 4.5 4.5L19 7.5",
  warning: "M12 4.5 3.5 19.5h17zM12 10v4.5M12 17h.01",
}

/** The drawing called `name`; hidden from screen readers, since the control around it carries the words. */
export function icon(name) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="${new Markup(PATHS[name])}"/></svg>`
}
