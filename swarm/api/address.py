"""Where a call comes from: as text for records, and as what attempts are counted by.

What callers say about themselves can be forged, so it decides nothing, unless a trusted proxy has added it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.types import Scope

_UNWANTED = re.compile(r"[^A-Za-z0-9 .:,;_\-*@#%\[\]]")
_LONGEST = 500


def peer_address(scope: Scope) -> str:
    """The other end of the connection."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def counted_address(scope: Scope, trusted_proxies: str) -> str:
    """Whose attempts are counted together: the peer, or whoever a trusted proxy says that it speaks for."""
    peer = peer_address(scope)
    if peer not in {part.strip() for part in trusted_proxies.split(",")}:
        return peer
    lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    last = lines[-1].decode("latin-1").rpartition(",")[2].strip() if lines else ""
    return _UNWANTED.sub("", last)[:_LONGEST] or peer


def source_address(scope: Scope, max_forwarded: int) -> str:
    """`203.0.113.5 (via 10.0.0.2)`: the peer, then up to `max_forwarded` X-Forwarded-For lines (swarm-core 2.8)."""
    address = peer_address(scope)
    for value in _forwarded(scope["headers"], max_forwarded):
        address += f" (via {value})"
    return address if len(address) <= _LONGEST else address[:_LONGEST] + " (...)"


def _forwarded(headers: Iterable[tuple[bytes, bytes]], limit: int) -> list[str]:
    lines = [value for name, value in headers if name == b"x-forwarded-for"]
    return [_UNWANTED.sub("", line.decode("latin-1")) for line in lines[: max(0, limit)]]
