"""Which `Host` and `Origin` headers a request may carry. Pure; the guard acts on the answers.

A hostile page can point a DNS name of its own at 127.0.0.1 and then talk to this server as "same origin". It cannot do
that with an IP address or a loopback name, nor below `internal`, which is nobody's (containers call their host
`host.docker.internal`), so these are always fine; any other name must be one of ours.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import lru_cache
from urllib.parse import urlsplit

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*)(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
LOOPBACK_BINDS = frozenset({"localhost", "127.0.0.1", "::1"})


def machine_names(bind_host: str) -> frozenset[str]:
    """Names of this machine that browsers may use, given the address the server listens on. None when only loopback."""
    if bind_host.lower() in LOOPBACK_BINDS:
        return frozenset()
    name = socket.gethostname().lower()
    return frozenset({name, name.partition(".")[0], f"{name.partition('.')[0]}.local", bind_host.lower()})


@lru_cache(maxsize=1024)
def is_host(text: str) -> bool:
    """Whether a Host header is well formed: a name or an address, and maybe a port."""
    return _HOST.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def is_own_host(text: str, allowed: str, names: frozenset[str]) -> bool:
    """Whether a well-formed Host header can only mean this server. `allowed`: comma-separated further names."""
    found = _HOST.fullmatch(text)
    if found is None:
        return False
    name = found[1].lower().rstrip(".")
    if name == "localhost" or name.endswith((".localhost", ".internal")) or name in names:
        return True
    if name in _listed(allowed) or text.lower() in _listed(allowed):
        return True
    try:
        return not ipaddress.ip_address(name.strip("[]")).is_unspecified
    except ValueError:
        return False


@lru_cache(maxsize=1024)
def is_same_origin(origin: str, host: str, allowed: str) -> bool:
    """Whether an Origin header names the server that `host` names, whatever the scheme, or one of the `allowed`."""
    try:
        parts = urlsplit(origin)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):
        return False
    found = _HOST.fullmatch(host)
    if found is None or parts.hostname is None or parts.path:
        return False
    host_port = int(found[2]) if found[2] else _DEFAULT_PORTS[parts.scheme]
    if parts.hostname == found[1].lower().strip("[]") and port == host_port:
        return True
    return bool({parts.hostname, parts.netloc.lower()} & _listed(allowed))


@lru_cache(maxsize=64)
def _listed(text: str) -> frozenset[str]:
    return frozenset(filter(None, (part.strip().lower() for part in text.split(","))))
