"""The JSON type, and the one way this program reads and writes it (orjson; floats keep their fraction)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Union

import orjson

from swarm.base.errors import BadInput

Json = Union[None, bool, int, float, str, Sequence["Json"], Mapping[str, "Json"]]
JsonObject = Mapping[str, Json]


def dumps(value: Json) -> bytes:
    """Compact UTF-8 JSON; non-ASCII text is not escaped, floats always show a fraction."""
    return orjson.dumps(value)


def loads(data: bytes | bytearray | str) -> Json:
    """Strict JSON. Raises BadInput with a sentence when `data` is not JSON, not UTF-8, or nested too deeply."""
    try:
        parsed: Json = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"This is not valid JSON: {error}") from None
    return parsed
