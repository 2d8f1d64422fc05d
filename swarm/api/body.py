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
_TEXT = re.compile(r'"[^"\\]*+(?:\\[ -\U0010ffff][^"\\]*+)*+"?')
"""A text, or what begins as one, so that no letter is looked at twice. A backslash before a line break ends it: neither
may be escaped then, and JSON stays refused."""


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
    parsed: Json = await to_thread(_parsed, data) if len(data) > _PARSED_IN_THREAD else _parsed(data)
    if not isinstance(parsed, dict):
        raise BadInput("The message must be a JSON object.")
    found: dict[str, Any] = parsed
    return found


def _parsed(data: bytes | bytearray | str) -> Json:
    """What strict JSON refuses and SwarmUI reads all the same: letters that are no UTF-8 become U+FFFD, and line breaks
    and tabs may stand in texts. Older PowerShells write Latin-1, and shell scripts put prompts between quotes as they
    are.
    """
    try:
        return loads(data)
    except BadInput:
        text = data if isinstance(data, str) else data.decode(errors="replace")
        return loads(_TEXT.sub(_on_one_line, text))


def _on_one_line(text: re.Match[str]) -> str:
    return text[0].replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
