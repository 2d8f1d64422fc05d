/** Getting models from the internet. What was begun goes on while other parts of the page are looked at. */

import { follow } from "../lib/dom.js"
import { bytes, percent } from "../lib/format.js"
import { element, html, render } from "../lib/html.js"
import { attempt, values } from "../lib/panel.js"
import { client, downloads, load } from "../state/app.js"
import { watch } from "../state/store.js"

class ModelDownloads extends HTMLElement {
  #stop

  connectedCallback() {
    this.#stop = new AbortController()
    render(this, FRAME)
    this.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#begin(event.target)
    })
    this.addEventListener("change", ({ target }) => target.name === "url" && this.#suggest(target))
    this.addEventListener("click", ({ target }) => {
      const button = target.closest("li button")
      if (button) this.#act(button.dataset.act, button.closest("li").dataset.key)
    })
    watch(downloads, () => this.#draw(), this.#stop.signal)
  }

  disconnectedCallback() {
    this.#stop.abort()
  }

  async show() {
    const select = this.querySelector("select")
    if (select.options.length) return
    await attempt(this, async () => {
      const { models } = await client.call("ListT2IParams")
      render(select, html`${Object.keys(models).map((name) => html`<option>${name}</option>`)}`)
    })
  }

  hide() {}

  #suggest({ value, form }) {
    const file = value.split(/[?#]/)[0].split("/").pop() ?? ""
    const known = /^(.+)\.(safetensors|sft|gguf)$/i.exec(file)
    if (known && !form.elements.name.value) form.elements.name.value = decodeURIComponent(known[1])
  }

  #begin(form) {
    const { url, type, name } = values(form)
    this.#fetch({ url: url.trim(), type, name: name.trim() })
    form.elements.url.value = form.elements.name.value = ""
    form.elements.url.focus()
  }

  async #fetch(wanted) {
    await downloads.start(wanted)
    if (downloads.list.some((each) => each.wanted === wanted && each.state === "done"))
      await attempt(this, () => load())
  }

  #act(act, key) {
    const { wanted } = downloads.list.find((each) => each.key === key)
    if (act === "cancel") downloads.cancel(key)
    else downloads.forget(key)
    if (act === "again") this.#fetch({ ...wanted })
    this.querySelector("[name=url]").focus()
  }

  #draw() {
    follow(this.querySelector("ul"), downloads.list, {
      key: ({ key }) => key,
      make: (one) => element(entry(one)),
      update,
    })
    this.querySelector(".empty").hidden = downloads.list.length > 0
  }
}
customElements.define("model-downloads", ModelDownloads)

const FRAME = html`<div class="panel-part">
  <form>
    <label class="is-wide">Address of the file
      <input class="input" type="url" name="url" autocomplete="off" required></label>
    <label>Kind of model <select class="input" name="type"></select></label>
    <label>Name, which may begin with a folder <input class="input" name="name" autocomplete="off" required></label>
    <button class="button button--main">Download</button>
  </form>
  <ul class="panel-list panel-rows" aria-label="Downloads"></ul>
  <p class="empty">Nothing was downloaded since this page was opened.</p>
</div>`

function entry({ wanted }) {
  const button = (act, word, name) =>
    html`<button class="button button--small" type="button" data-act="${act}" aria-label="${name}">${word}</button>`
  return html`<li class="download">
    <div><strong>${wanted.name}</strong> <span class="muted">${wanted.type}</span>
      <progress max="1" aria-label="${wanted.name}"></progress>
      <span data-part="text" role="status"></span></div>
    <span class="panel-acts">
      ${button("cancel", "Cancel", `Cancel ${wanted.name}`)}
      ${button("again", "Again", `Download ${wanted.name} again`)}
      ${button("forget", "Clear", `Take ${wanted.name} off the list`)}
    </span>
  </li>`
}

const ENDED = { done: "Downloaded.", cancelled: "Cancelled." }

function update(item, { state, share, perSecond, error }) {
  const isRunning = state === "running"
  const bar = item.querySelector("progress")
  bar.hidden = !isRunning
  bar.value = share
  const text = item.querySelector("[data-part=text]")
  text.textContent = isRunning ? `${percent(share)}, ${bytes(perSecond)}/s` : (ENDED[state] ?? error)
  text.classList.toggle("is-error", state === "failed")
  item.querySelector("[data-act=cancel]").hidden = !isRunning
  item.querySelector("[data-act=again]").hidden = state !== "failed" && state !== "cancelled"
  item.querySelector("[data-act=forget]").hidden = isRunning
}
