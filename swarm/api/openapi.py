"""The API as an OpenAPI 3.1 document, made from the same declarations that dispatch uses."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType

from swarm.api.binding import Argument, arguments_of
from swarm.api.route import Route
from swarm.api.shapes import schema_of
from swarm.base.json import Json, JsonObject

_INT32, _INT64 = 2**31, 2**63
_TYPES: Mapping[str, JsonObject] = MappingProxyType(
    {
        "String": {"type": "string"},
        "Int32": {"type": "integer", "format": "int32", "minimum": -_INT32, "maximum": _INT32 - 1},
        "Int64": {"type": "integer", "format": "int64", "minimum": -_INT64, "maximum": _INT64 - 1},
        "Double": {"type": "number"},
        "Boolean": {"type": "boolean"},
        "String[]": {"type": "array", "items": {"type": "string"}},
    }
)
_ERROR: JsonObject = {
    "type": "object",
    "description": "What went wrong, as a sentence, and which of the known problems it is.",
    "properties": {"error": {"type": "string"}, "error_id": {"type": "string"}, "preset_fail": {"type": "string"}},
    "anyOf": [{"required": ["error"]}, {"required": ["error_id"]}, {"required": ["preset_fail"]}],
}
_SECURITY: JsonObject = {
    "session_id": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Session-ID",
        "description": "The id that GetNewSession gave. It may stand in the body as `session_id` instead.",
    }
}
_ABOUT = """Every call is a POST of a JSON object. Routes marked `x-websocket` are WebSockets at the same path: the \
same object is the first message, and each further message of the server has the shape of the answer. What goes wrong \
inside a route is answered with status 200 and an `error` sentence; what never reached it, with 400 or 401."""


def openapi(routes: Mapping[str, Route], *, version: str) -> JsonObject:
    """The document. Routes by name."""
    ordered = sorted(routes.values(), key=lambda route: route.id)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Swarm", "version": version, "description": _ABOUT, "license": {"name": "MIT"}},
        "paths": {f"/API/{route.name}": {"post": _operation(route)} for route in ordered},
        "components": {"schemas": {"Error": _ERROR}, "securitySchemes": _SECURITY},
    }


def _operation(route: Route) -> JsonObject:
    summary, _, rest = inspect.cleandoc(route.doc).partition("\n\n")
    operation: dict[str, Json] = {
        "operationId": route.name,
        "summary": summary.replace("\n", " "),
        "requestBody": {"required": True, "content": _json(_input(arguments_of(route)))},
        "responses": _responses(route),
        "security": [] if route.sessionless else [{"session_id": []}],
    }
    if rest:
        operation["description"] = rest.strip()
    if route.permission is not None:
        operation["x-permission"] = route.permission.id
    if route.websocket:
        operation["x-websocket"] = True
    return operation


def _input(arguments: tuple[Argument, ...]) -> JsonObject:
    named = [each for each in arguments if each.read is not None]
    required = [each.name for each in named if each.required]
    schema: dict[str, Json] = {"type": "object", "properties": {each.name: _property(each) for each in named}}
    return {**schema, "required": required} if required else schema


def _property(argument: Argument) -> JsonObject:
    schema = _TYPES[argument.type_name]
    if argument.required:
        return schema
    if argument.default is None:  # left out means something else than any value; null would be read as an empty text
        return schema
    return {**schema, "default": argument.default}


def _responses(route: Route) -> JsonObject:
    failed: JsonObject = {"$ref": "#/components/schemas/Error"}
    good = schema_of(route.answers) if route.answers is not None else {"type": "object"}
    if route.websocket:
        refused: JsonObject = {"description": "This route needs a WebSocket.", "content": _json(failed)}
        return {"101": {"description": "The socket is open.", "x-message": good}, "400": refused, "401": refused}
    return {
        "200": {"description": "The answer, or what went wrong.", "content": _json({"anyOf": [good, failed]})},
        "400": {"description": "The call did not reach the route.", "content": _json(failed)},
        "401": {"description": "The session is unknown.", "content": _json(failed)},
    }


def _json(schema: JsonObject) -> JsonObject:
    return {"application/json": {"schema": schema}}
