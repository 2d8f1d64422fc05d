import assert from "node:assert/strict"
import { test } from "node:test"
import { escape, html, Markup } from "../../static/js/lib/html.js"

test("every value is escaped", () => {
  const evil = `<img src=x onerror="alert('1')">&`
  assert.equal(html`<p title="${evil}">${evil}</p>`.text, `<p title="${escape(evil)}">${escape(evil)}</p>`)
  assert.equal(escape(evil), "&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;")
})

test("markup inside markup stays markup, also in lists", () => {
  const names = ["a", "<b>"]
  assert.equal(
    html`<ul>${names.map((name) => html`<li>${name}</li>`)}</ul>`.text,
    "<ul><li>a</li><li>&lt;b&gt;</li></ul>",
  )
})

test("nothing is printed for null, undefined and booleans, but zero is", () => {
  assert.equal(html`[${null}${undefined}${false}${true}${0}]`.text, "[0]")
})

test("only what html made is trusted", () => {
  assert.equal(html`${{ text: "<b>" }}`.text, "[object Object]")
  assert.equal(html`${new Markup("<b>")}`.text, "<b>")
})
