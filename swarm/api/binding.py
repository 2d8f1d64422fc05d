"""From a JSON body to a handler's typed arguments, by the wire's rules (swarm-core 1.6).

Every value becomes text first and is then read as the declared type, so `5`, `"5"` and `5.0` all fit an int. Handlers
declare `str`, `int` (32 bits), `Long` (64 bits), `float`, `bool`, `list[str]`, or `Body` for the whole body.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

import orjson

from swarm.api.route import ApiSocket, Body, Call, Route
from swarm.base.errors import BadInput, SwarmError
from swarm.base.json import Json, JsonObject

Long = NewType("Long", int)

_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,40})\s*", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:[0-9][0-9,]*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,5})?", re.ASCII)
_NAMED_DECIMALS = {"nan": "nan", "infinity": "inf", "-infinity": "-inf", "∞": "inf", "-∞": "-inf"}
_LONGEST_WHOLE = 1e16


class BadHandler(SwarmError):
    """A handler's signature cannot be bound; the start stops and names it."""


def as_text(value: Json) -> str:
    """A JSON value in the text form parameters are read from."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "True" if value else "False"
        case int():
            return str(value)
        case float():
            return _decimal_text(value)
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _decimal_text(value: float) -> str:
    """`5`, `0.5`, and `1E+20` or `1E-07` for those too large or small to be written out."""
    written_out = value.is_integer() and abs(value) < _LONGEST_WHOLE
    return str(int(value)) if written_out else repr(value).upper()


def _integer(bits: int) -> Callable[[Json], int]:
    limit = 1 << (bits - 1)

    def read(value: Json) -> int:
        found = _INTEGER.fullmatch(as_text(value))
        number = int(found[1]) if found else limit
        if not -limit <= number < limit:
            raise ValueError
        return number

    return read


def _decimal(value: Json) -> float:
    text = as_text(value).strip()
    named = _NAMED_DECIMALS.get(text.lower())
    if named is None and not _DECIMAL.fullmatch(text):
        raise ValueError
    return float(named or text.replace(",", ""))


def _boolean(value: Json) -> bool:
    text = as_text(value).strip().lower()
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


def _texts(value: Json) -> list[str]:
    is_array = isinstance(value, Sequence) and not isinstance(value, str)
    return [as_text(each) for each in value] if is_array else []  # type: ignore[union-attr]


_KINDS: Mapping[Any, tuple[str, Callable[[Json], Any]]] = {
    str: ("String", as_text),
    int: ("Int32", _integer(32)),
    Long: ("Int64", _integer(64)),
    float: ("Double", _decimal),
    bool: ("Boolean", _boolean),
    list[str]: ("String[]", _texts),
}


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One parameter of a handler. `read` is None for the whole body; `type_name` is the wire's word for the type."""

    name: str
    type_name: str
    read: Callable[[Json], Any] | None
    required: bool
    default: Any


def arguments_of(route: Route) -> tuple[Argument, ...]:
    """What a route's handler wants to be given, in declared order. Raises BadHandler."""
    try:
        hints = get_type_hints(route.handler, localns={"Json": Json})  # the alias names itself inside
    except NameError as error:
        raise BadHandler(f"The types of the route {route.name} cannot be read: {error}") from error
    parameters = list(inspect.signature(route.handler).parameters.values())
    given = [Call, ApiSocket] if route.websocket else [Call]
    if [hints.get(each.name) for each in parameters[: len(given)]] != given:
        raise BadHandler(
            f"The handler of {route.name} must begin with {' and '.join(each.__name__ for each in given)}."
        )
    return tuple(_argument(route, each, hints[each.name]) for each in parameters[len(given) :])


def _argument(route: Route, parameter: inspect.Parameter, hint: Any) -> Argument:
    kind = _without_none(hint)
    required = parameter.default is inspect.Parameter.empty
    if kind is Body:
        return Argument(name=parameter.name, type_name="Body", read=None, required=False, default=None)
    if kind not in _KINDS:
        raise BadHandler(f"The route {route.name} cannot take '{parameter.name}' as {hint}.")
    type_name, read = _KINDS[kind]
    return Argument(name=parameter.name, type_name=type_name, read=read, required=required, default=parameter.default)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        kinds = [each for each in get_args(hint) if each is not type(None)]
        return kinds[0] if len(kinds) == 1 else hint
    return hint


def bind(arguments: Sequence[Argument], body: JsonObject) -> dict[str, Any]:
    """Keyword arguments for a handler. Raises BadInput with the wire's sentence at the first one that does not fit."""
    bound: dict[str, Any] = {}
    for argument in arguments:
        if argument.read is None:
            bound[argument.name] = Body({key: value for key, value in body.items() if key != "session_id"})
        elif argument.name in body:
            bound[argument.name] = _read(argument, argument.read, body[argument.name])
        elif argument.required:
            raise BadInput(f"Missing required parameter '{argument.name}'")
    return bound


def _read(argument: Argument, read: Callable[[Json], Any], value: Json) -> Any:
    try:
        return read(value)
    except ValueError:
        raise BadInput(
            f"Invalid value '{as_text(value)}' for parameter '{argument.name}', must be type '{argument.type_name}'"
        ) from None
