/** What was deleted: models and wildcard lists, to be brought back or deleted for good. */

import { follow } from "../lib/dom.js"
import { element, html, render } from "../lib/html.js"
import { attempt } from "../lib/panel.js"
import { client, load } from "../state/app.js"

class TrashList extends HTMLElement {
  connectedCallback() {
    render(
      this,
      html`<div class="panel-part">
        <ul class="panel-list panel-rows" aria-label="Deleted"></ul><p class="empty" hidden>The trash is empty.</p>
      </div>`,
    )
    this.addEventListener("click", (event) => this.#click(event.target.closest("button")))
  }

  async show() {
    await attempt(this, () => this.#read())
  }

  hide() {}

  async #read() {
    const { deleted } = await client.call("ListTrash")
    this.querySelector(".empty").hidden = deleted.length > 0
    follow(this.querySelector("ul"), deleted, { key: ({ id }) => id, make: (one) => element(entry(one)) })
  }

  async #click(button) {
    if (!button) return
    const item = button.closest("li")
    const id = item.dataset.key
    const name = item.querySelector("strong").textContent
    if (button.dataset.act === "restore") await this.#do("RestoreFromTrash", id, `${name} is back in its place.`)
    if (button.dataset.act === "remove") {
      const question = `Delete ${name} for good? It cannot be brought back after that.`
      if (await document.querySelector("confirm-dialog").ask(question, "Delete for good"))
        await this.#do("DeleteFromTrash", id, `${name} is deleted for good.`)
    }
  }

  async #do(route, id, success) {
    const done = await attempt(
      this,
      async () => {
        await client.call(route, { id })
        await this.#read()
        if (route === "RestoreFromTrash") await load()
      },
      success,
    )
    if (done) (this.querySelector("button") ?? this.closest("dialog").querySelector("[aria-selected=true]")).focus()
  }
}
customElements.define("trash-list", TrashList)

function button(act, word, name) {
  return html`<button class="button button--small" type="button" data-act="${act}" aria-label="${name}">${word}</button>`
}

function entry({ files, time_deleted: time }) {
  const [name, ...rest] = files
  const beside = rest.length ? html`with ${rest.join(", ")}, ` : ""
  return html`<li>
    <span><strong>${name}</strong><br>
      <span class="muted">${beside}deleted ${new Date(time).toLocaleString()}</span></span>
    <span class="panel-acts">
      ${button("restore", "Restore", `Restore ${name}`)} ${button("remove", "Delete for good …", `Delete ${name} for good`)}
    </span>
  </li>`
}
