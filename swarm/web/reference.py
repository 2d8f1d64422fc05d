"""The reference of the API: for programs at /openapi.json, for people at /API. Both from the declared routes."""

from __future__ import annotations

from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from swarm.base.json import JsonObject, dumps
from swarm.state import AppState
from swarm.web.page import Access, page

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
nav { columns: 4 12rem; font-size: .9rem; margin: 1.5rem 0 } nav a { display: block }
section { border-top: 1px solid #8886; margin-top: 1.5rem }
h2 { font-size: 1.1rem; margin-bottom: .2rem } .facts { opacity: .75; margin: 0 }
table { border-collapse: collapse } td, th { padding: .1rem 1rem .1rem 0; text-align: left }
code, pre { font-family: ui-monospace, monospace; font-size: .9em } pre { overflow: auto }
"""
_HEAD = """<p>Call a route with <code>POST /API/&lt;name&gt;</code> and a JSON object as the body
(<code>Content-Type: application/json</code>). Routes marked WebSocket are connected to at the same address; the
object is the first message. <code>GetNewSession</code> gives the <code>session_id</code> that every other call needs,
in its body or as the header <code>X-Session-ID</code>. A machine-readable form is at
<a href="openapi.json">/openapi.json</a>.</p>"""


@page("/openapi.json", methods=("GET", "HEAD"), access=Access.LOGGED_IN)
async def openapi_document(state: AppState, request: Request) -> Response:
    """The API as an OpenAPI 3.1 document."""
    headers = {"Cache-Control": "no-cache"}
    return Response(dumps(state.openapi()), media_type="application/json", headers=headers)


@page("/API", methods=("GET", "HEAD"), access=Access.LOGGED_IN)
async def api_page(state: AppState, request: Request) -> Response:
    """The same for people: one page that needs nothing from elsewhere."""
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
    return HTMLResponse(reference_html(state.openapi()), headers=headers)


def reference_html(document: JsonObject) -> str:
    """A page of an OpenAPI document as `api.openapi` makes it."""
    content: Any = document
    operations = [path["post"] for path in content["paths"].values()]
    links = "".join(f'<a href="#{_id(each)}">{_id(each)}</a>' for each in operations)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Swarm API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>Swarm API</h1>{_HEAD}<nav>{links}</nav>{''.join(map(_section, operations))}</body></html>"
    )


def _id(operation: Any) -> str:
    return escape(operation["operationId"])


def _section(operation: Any) -> str:
    facts = ["WebSocket" if operation.get("x-websocket") else "HTTP"]
    facts.append("no session needed" if not operation["security"] else "session")
    if "x-permission" in operation:
        facts.append(f"permission <code>{escape(operation['x-permission'])}</code>")
    told = "".join(f"<p>{escape(part)}</p>" for part in operation.get("description", "").split("\n\n") if part)
    return (
        f'<section id="{_id(operation)}"><h2>{_id(operation)}</h2><p class="facts">{" · ".join(facts)}</p>'
        f"<p>{escape(operation['summary'])}</p>{told}{_inputs(operation)}{_answer(operation)}</section>"
    )


def _inputs(operation: Any) -> str:
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    if not schema["properties"]:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(each['type'])}</td>"
        f"<td>{_default(name, each, schema)}</td>"
        for name, each in schema["properties"].items()
    )
    return f"<table><tr><th>input<th>type<th>default</tr>{rows}</table>"


def _default(name: str, each: Any, schema: Any) -> str:
    if name in schema.get("required", ()):
        return "required"
    return f"<code>{escape(dumps(each.get('default')).decode())}</code>"


def _answer(operation: Any) -> str:
    responses = operation["responses"]
    if "101" in responses:
        shape = responses["101"]["x-message"]
    else:
        shape = responses["200"]["content"]["application/json"]["schema"]["anyOf"][0]
    return f"<details><summary>Answer</summary><pre>{escape(sketch(shape))}</pre></details>" if len(shape) > 1 else ""


def sketch(schema: Any, depth: int = 0) -> str:
    """A JSON Schema as the value it describes: `{"success": boolean}`."""
    if "anyOf" in schema:
        return " | ".join(sketch(each, depth) for each in schema["anyOf"])
    match schema.get("type"):
        case "array":
            return f"[{sketch(schema['items'], depth)}, …]"
        case "object" if "properties" in schema:
            margin = "  " * (depth + 1)
            lines = [f'{margin}"{key}": {sketch(each, depth + 1)}' for key, each in schema["properties"].items()]
            return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return f'{{"…": {sketch(schema["additionalProperties"], depth)}}}'
    return str(schema.get("type", "anything"))
