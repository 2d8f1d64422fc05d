"""A GenerationInput as JSON plus binary pieces, and back: for job rows and for the engine's frames.

Pictures become numbered blobs; everything else is JSON. Reading needs no parameter registry, so a row written by one
version can be read by the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from swarm.base.errors import BadInput
from swarm.base.json import Json, JsonObject
from swarm.media.image import Picture
from swarm.params.input import GenerationInput


def encode_input(input: GenerationInput) -> tuple[JsonObject, list[bytes]]:
    """The header, and the pictures' bytes in the order the header numbers them."""
    blobs: list[bytes] = []
    header: dict[str, Json] = {"values": _encoded(input.values, blobs), "extra": dict(input.extra)}
    if input.sections:
        header["sections"] = {str(id): _encoded(values, blobs) for id, values in input.sections.items()}
    return header, blobs


def decode_input(header: JsonObject, blobs: Sequence[bytes]) -> GenerationInput:
    """The exact inverse of `encode_input`. Raises BadInput when the two do not belong together."""
    try:
        values = _decoded(header["values"], blobs)
        extra = dict(cast(JsonObject, header["extra"]))
        own = cast(Mapping[str, Json], header.get("sections", {}))
        sections = {int(id): _decoded(value, blobs) for id, value in own.items()}
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"This stored request cannot be read: {error!r}") from None
    return GenerationInput(values, MappingProxyType(extra), MappingProxyType(sections))


def _encoded(values: Mapping[str, Any], blobs: list[bytes]) -> JsonObject:
    return {id: _encode(value, blobs) for id, value in values.items()}


def _decoded(values: Json, blobs: Sequence[bytes]) -> Mapping[str, Any]:
    return MappingProxyType({id: _decode(value, blobs) for id, value in cast(Mapping[str, Json], values).items()})


def _encode(value: Any, blobs: list[bytes]) -> Json:
    if isinstance(value, Picture):
        blobs.append(value.data)
        return {"blob": len(blobs) - 1, "mime": value.mime, "path": value.path}
    if isinstance(value, tuple):
        return [_encode(item, blobs) for item in value]
    return cast(Json, value)


def _decode(value: Json, blobs: Sequence[bytes]) -> Any:
    match value:
        case {"blob": int(number), "mime": str(mime), "path": path}:
            return Picture(data=bytes(blobs[number]), mime=mime, path=cast("str | None", path))
        case list() | tuple():
            return tuple(_decode(item, blobs) for item in value)
        case _:
            return value
