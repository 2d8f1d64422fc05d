"""What a route answers, written as briefly as the answer itself, and as JSON Schema.

    answers={"models": [{"name": str, "hash?": Null(str)}]}

A shape is `bool`, `int`, `float`, `str`, `ANY`, `None`; `[shape]` for a list; an object by its keys, `?` behind those
that may be missing; `Map(shape)`, an object with any keys; `Null(shape)`, which may be null; `Either(a, b)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from swarm.base.json import Json

Shape: TypeAlias = Any
ANY = object()
SUCCESS: Mapping[str, Shape] = MappingProxyType({"success": bool})
"""The answer of most routes that change something."""

STATUS: Mapping[str, Shape] = MappingProxyType(
    {
        "status": {"waiting_gens": int, "loading_models": int, "waiting_backends": int, "live_gens": int},
        "backend_status": {"status": str, "class": str, "message": str, "any_loading": bool},
        "supported_features": [str],
        "notices?": [str],
    }
)
"""What `GetCurrentStatus` answers and sockets are told (swarm-core 5.10)."""

_PLAIN: Mapping[Any, str] = MappingProxyType({bool: "boolean", int: "integer", float: "number", str: "string"})


@dataclass(frozen=True)
class Map:
    """An object whose keys are names and whose values have one shape."""

    values: Shape


@dataclass(frozen=True)
class Null:
    """A shape, or null."""

    inner: Shape


class Either:
    """Any one of several shapes."""

    def __init__(self, *shapes: Shape) -> None:
        self.shapes = shapes


def schema_of(shape: Shape) -> dict[str, Json]:
    """The JSON Schema (2020-12, as OpenAPI 3.1 uses it) of a shape. Raises TypeError for what is none."""
    match shape:
        case None:
            return {"type": "null"}
        case type() if shape in _PLAIN:
            return {"type": _PLAIN[shape]}
        case [inner]:
            return {"type": "array", "items": schema_of(inner)}
        case Map(values):
            return {"type": "object", "additionalProperties": schema_of(values)}
        case Null(inner):
            return {"anyOf": [schema_of(inner), {"type": "null"}]}
        case Either():
            return {"anyOf": [schema_of(each) for each in shape.shapes]}
        case Mapping():
            return {
                "type": "object",
                "properties": {key.removesuffix("?"): schema_of(value) for key, value in shape.items()},
                "required": [key for key in shape if not key.endswith("?")],
            }
    if shape is ANY:
        return {}
    raise TypeError(f"{shape!r} is no shape of an answer.")


__all__ = ["ANY", "STATUS", "SUCCESS", "Either", "Map", "Null", "Shape", "schema_of"]
