"""Where a server listens: sockets bound to every address that a host setting means."""

from __future__ import annotations

import errno
import socket
import sys

from swarm.base.errors import SwarmError


class CannotStart(SwarmError):
    """The server cannot start; the text is the sentence for the person at the terminal."""


def free_port() -> int:
    """A port of the loopback address that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """What to bind for a host setting; a bare `localhost` is both loopback addresses."""
    if host in ("*", "::", "[::]"):
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
    if host.lower() == "localhost":
        return [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except OSError:
        raise CannotStart(f"The address '{host}' cannot be listened on: it is unknown.") from None
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Sockets bound to all addresses of `host`. Raises SwarmError with a sentence; IPv6 may be missing."""
    bound: list[socket.socket] = []
    for family, address in _addresses(host):
        try:
            bound.append(_bound(family, address, port))
        except OSError as error:
            if family == socket.AF_INET6 and bound and error.errno != errno.EADDRINUSE:
                continue
            for each in bound:
                each.close()
            raise CannotStart(_why_not_bound(error, host, port)) from None
    return bound


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _why_not_bound(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by another program. Stop it, or choose another port with --port."
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used without more rights. Choose one above 1023 with --port."
    return f"The address '{host}' cannot be listened on: {error.strerror or error}."
