/** Defines the page's elements and starts it. */

import "./components/account-menu.js"
import "./components/batch-strip.js"
import "./components/confirm-dialog.js"
import "./components/generate-bar.js"
import "./components/history-browser.js"
import "./components/image-stage.js"
import "./components/lora-list.js"
import "./components/mask-editor.js"
import "./components/model-picker.js"
import "./components/param-panel.js"
import "./components/picture-viewer.js"
import "./components/prompt-box.js"
import "./components/status-line.js"
import "./components/theme-switch.js"
import "./components/toast-stack.js"
import { pictureOf } from "./lib/files.js"
import { startFromFile } from "./state/actions.js"
import { start } from "./state/app.js"

// A file dropped beside a field would otherwise replace the page.
addEventListener("dragover", (event) => event.preventDefault())
addEventListener("drop", (event) => {
  if (!event.defaultPrevented) startFromFile(pictureOf(event.dataTransfer))
  event.preventDefault()
})

await start()
