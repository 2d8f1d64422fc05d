"""From bytes to a JSON object. Big ones are parsed in a thread, so that nobody else waits for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from swarm.base.errors import BadInput
from swarm.base.json import Json, JsonObject, loads
from swarm.base.tasks import to_thread

_PARSED_IN_THREAD = 1024 * 1024
_JSON_TYPE = re.compile(rb"\s*(?:application/json|[\w.!#$&^+-]+/[\w.!#$&^+-]*\+json)\s*(?:;.*)?", re.IGNORECASE)
_LENGTH = re.compile(rb"[0-9]{1,10}")
_LARGEST = 2147483647


def is_json_type(content_type: bytes | None) -> bool:
    """Whether a Content-Type header announces JSON: `application/json` or any `…+json`, with any parameters."""
    return content_type is not None and _JSON_TYPE.fullmatch(content_type) is not None


def announced_length(headers: Mapping[bytes, bytes], limit: int) -> int | None:
    """The Content-Length if it is present, above 0 and below `limit`; else None. A chunked body has none."""
    text = headers.get(b"content-length", b"")
    if b"transfer-encoding" in headers or not _LENGTH.fullmatch(text):
        return None
    length = int(text)
    return length if 0 < length < min(limit, _LARGEST) else None


async def parse_object(data: bytes | bytearray | str) -> JsonObject:
    """The JSON object that `data` holds. Raises BadInput for anything else."""
    parsed: Json = await to_thread(loads, data) if len(data) > _PARSED_IN_THREAD else loads(data)
    if not isinstance(parsed, dict):
        raise BadInput("The message must be a JSON object.")
    found: dict[str, Any] = parsed
    return found
