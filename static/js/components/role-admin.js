/** Roles: what those who have them may do. */

import { html, render } from "../lib/html.js"
import { attempt, values } from "../lib/panel.js"
import { client } from "../state/app.js"

class RoleAdmin extends HTMLElement {
  #roles = {}
  #groups = []
  #chosen = null

  connectedCallback() {
    render(
      this,
      html`<div class="panel-columns"><ul class="panel-list"></ul><div class="panel-detail"></div></div>`,
    )
    this.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#submit(event.target)
    })
    this.addEventListener("click", (event) => this.#click(event.target.closest("button")))
  }

  async load() {
    await attempt(this, async () => {
      this.#roles = (await client.call("AdminListRoles")).roles
      this.#groups = grouped(await client.call("AdminListPermissions"))
      if (!(this.#chosen in this.#roles)) this.#chosen = null
      this.#draw()
    })
  }

  #draw() {
    render(
      this.querySelector("ul"),
      html`${Object.entries(this.#roles).map(([id, role]) => html`<li><button class="button" type="button" data-role="${id}"
        aria-pressed="${String(id === this.#chosen)}">${role.name}</button></li>`)}
        <li><button class="button" type="button" data-act="new">New role …</button></li>`,
    )
    render(
      this.querySelector(".panel-detail"),
      this.#chosen === null ? NEW : roleForm(this.#roles[this.#chosen], this.#groups),
    )
  }

  async #submit(form) {
    const given = values(form)
    if (form.dataset.act === "add") {
      const made = await attempt(form, () => client.call("AdminAddRole", { name: given.name }), "The role is made.")
      if (!made) return
      this.#chosen = given.name.replace(/[^A-Za-z0-9_]/g, "").toLowerCase()
      await this.load()
      return
    }
    const body = {
      name: this.#chosen,
      description: given.description,
      max_outpath_depth: Number(given.max_outpath_depth),
      max_t2i_simultaneous: Number(given.max_t2i_simultaneous),
      allow_unsafe_outpaths: given.allow_unsafe_outpaths === "yes",
      model_whitelist: given.model_whitelist,
      model_blacklist: given.model_blacklist,
      permissions: given.permissions.join(","),
    }
    await attempt(form, () => client.call("AdminEditRole", body), "The role is saved, and acts from now on.")
  }

  async #click(button) {
    if (!button) return
    if (button.dataset.role !== undefined || button.dataset.act === "new") {
      this.#chosen = button.dataset.role ?? null
      await this.load()
    }
    if (button.dataset.act === "delete") await this.#delete(button, this.#chosen)
  }

  async #delete(button, name) {
    if (!(await document.querySelector("confirm-dialog").ask(`Delete the role ${name}?`, "Delete"))) return
    if (await attempt(button, () => client.call("AdminDeleteRole", { name }), `${name} is deleted.`)) await this.load()
  }
}
customElements.define("role-admin", RoleAdmin)

/** Permissions by group, in the server's order. */
function grouped({ permissions, ordered }) {
  const groups = new Map()
  for (const id of ordered) {
    const { group } = permissions[id]
    if (!groups.has(group.name)) groups.set(group.name, [])
    groups.get(group.name).push({ id, ...permissions[id] })
  }
  return [...groups]
}

const CHECKED = html` checked`
const NEW = html`<form data-act="add">
  <h3>New role</h3>
  <label>Name <input class="input" name="name" autocomplete="off" required></label>
  <button class="button button--main">Make the role</button>
</form>`

function roleForm(role, groups) {
  return html`<form data-act="edit">
    <h3>${role.name}</h3>
    <label>Description <input class="input" name="description" value="${role.description}"></label>
    <label>Pictures at once <input class="input" type="number" min="0" name="max_t2i_simultaneous" value="${role.max_t2i_simultaneous}"></label>
    <label>Folders in a path, at most <input class="input" type="number" min="0" name="max_outpath_depth" value="${role.max_outpath_depth}"></label>
    <label>Only models beginning with <input class="input" name="model_whitelist" value="${role.model_whitelist.join(", ")}"></label>
    <label>No models beginning with <input class="input" name="model_blacklist" value="${role.model_blacklist.join(", ")}"></label>
    <label class="panel-check"><input type="checkbox" name="allow_unsafe_outpaths" value="yes"${
      role.allow_unsafe_outpaths ? CHECKED : ""
    }> Dots in paths of pictures</label>
    ${groups.map(
      ([name, permissions]) => html`<fieldset><legend>${name}</legend>
        ${permissions.map(
          (each) => html`<label class="panel-check" title="${each.description}"><input type="checkbox" name="permissions[]"
            value="${each.id}"${role.permissions.includes(each.id) ? CHECKED : ""}> ${each.name}</label>`,
        )}</fieldset>`,
    )}
    <p class="panel-acts"><button class="button button--main">Save</button>
      ${!role.is_auto_generated && html`<button class="button button--danger" type="button" data-act="delete">Delete …</button>`}</p>
  </form>`
}
