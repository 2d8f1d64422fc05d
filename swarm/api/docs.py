"""The reference of all API routes, written from the declared routes themselves."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from swarm.api.binding import Argument, arguments_of
from swarm.api.route import Route
from swarm.base.json import dumps

_HEAD = """# Routes

<!-- Generated from the declarations in swarm/api/routes; do not edit. -->

A route is called by `POST /API/<name>` with a JSON object as the body (`Content-Type: application/json`), or, where it
says WebSocket, by connecting to the same path and sending that object as the first message. Names match in any case.
Every call needs the `session_id` that `GetNewSession` gave, in the body or as the header `X-Session-ID`. What goes
wrong in a route is answered with status 200 and an `error` sentence, and sometimes an `error_id`.
"""


def routes_page(routes: Mapping[str, Route]) -> str:
    """A Markdown page: every route with its inputs, permission and documentation, by name."""
    ordered = sorted(routes.values(), key=lambda route: route.id)
    return "\n".join([_HEAD, *(_section(route) for route in ordered)])


def _section(route: Route) -> str:
    facts = ["WebSocket" if route.websocket else "HTTP"]
    facts.append("no session needed" if route.sessionless else _permission(route))
    lines = [f"## {route.name}", "", f"{' · '.join(facts)}", "", inspect.cleandoc(route.doc), ""]
    arguments = arguments_of(route)
    if arguments:
        lines += ["| input | type | default |", "| --- | --- | --- |", *map(_row, arguments), ""]
    return "\n".join(lines)


def _permission(route: Route) -> str:
    return f"permission `{route.permission.id}`" if route.permission else "no permission needed"


def _row(argument: Argument) -> str:
    if argument.read is None:
        return "| *the whole body* | object | |"
    default = "required" if argument.required else f"`{dumps(argument.default).decode()}`"
    return f"| `{argument.name}` | {argument.type_name} | {default} |"
