"""Where a call comes from, as text for records. Never used to decide anything: the forwarded part can be forged."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.types import Scope

_UNWANTED = re.compile(r"[^A-Za-z0-9 .:,;_\-*@#%\[\]]")
_LONGEST = 500


def source_address(scope: Scope, max_forwarded: int) -> str:
    """`203.0.113.5 (via 10.0.0.2)`: the peer, then up to `max_forwarded` X-Forwarded-For lines (swarm-core 2.8)."""
    client = scope.get("client")
    address = str(client[0]) if client else "unknown"
    for value in _forwarded(scope["headers"], max_forwarded):
        address += f" (via {value})"
    return address if len(address) <= _LONGEST else address[:_LONGEST] + " (...)"


def _forwarded(headers: Iterable[tuple[bytes, bytes]], limit: int) -> list[str]:
    lines = [value for name, value in headers if name == b"x-forwarded-for"]
    return [_UNWANTED.sub("", line.decode("latin-1")) for line in lines[: max(0, limit)]]
