"""The one way out: HTTP requests to other machines, kept away from this one and from its network.

Every hop's address is checked, redirects included, and the connection is made to the very address that was checked, so
a name that answers differently a second time wins nothing. Secrets stay with the origin they were meant for.
"""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urljoin, urlsplit

import anyio
import httpcore2

from swarm.base.errors import BadInput, Refused
from swarm.base.tasks import to_thread

Address = IPv4Address | IPv6Address
Policy = Callable[[Address], bool]

MAX_HOPS = 8
CONNECT_SECONDS = 30.0
READ_SECONDS = 300.0
BLOCKED = "blocked_address"
_PORTS = (None, 80, 443)
_REDIRECTS = (301, 302, 303, 307, 308)
_SECRET = ("authorization", "cookie")
_METADATA = frozenset({ip_address("fd00:ec2::254"), ip_address("100.100.100.200"), ip_address("192.0.0.192")})
_NAT64 = IPv6Network("64:ff9b::/96")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f:.]+", re.ASCII)


def is_public(address: Address) -> bool:
    """Whether an address is out on the internet; what is wrapped into an IPv6 address counts as itself."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_machine(address: Address) -> bool:
    """Whether an address may be somebody's machine: not link-local, where clouds keep their secrets, nor a group's."""
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if inner is not None:
        return is_machine(inner)
    return not (address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back. `url`: where from, after redirects. `headers`: lower-case names. `seen`: as `headers`, of every
    hop together, the first one's word winning."""

    url: str
    status: int
    headers: Mapping[str, str]
    seen: Mapping[str, str]
    body: AsyncIterator[bytes]


class Outgoing:
    """`allowed`: which addresses may be connected to, strict unless a test says otherwise. `ports`: which ports."""

    def __init__(self, *, allowed: Policy = is_public, ports: Collection[int | None] | None = _PORTS) -> None:
        self._allowed = allowed
        self._ports = ports

    @asynccontextmanager
    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        hosts: Sequence[str] | None = None,
        redirect_hosts: Sequence[str] = (),
    ) -> AsyncIterator[Answer]:
        """GET, following redirects. `hosts`: where it may go, names with all their sub-domains; None for anywhere
        public; `redirect_hosts`: where redirects may lead besides.

        Raises BadInput or Refused with a sentence; TimeoutError, OSError when the network fails.
        """
        sent = {"accept-encoding": "identity", "user-agent": "Swarm", **(headers or {})}
        seen: dict[str, str] = {}
        origin: tuple[str, str | None, int | None] | None = None
        may_go = hosts
        async with httpcore2.AsyncConnectionPool(network_backend=_Guarded(self._allowed)) as pool:
            for _ in range(MAX_HOPS):
                parts = self._checked(url, may_go)
                here = parts.scheme, parts.hostname, parts.port
                if origin is not None and here != origin:
                    sent = {name: value for name, value in sent.items() if name.lower() not in _SECRET}
                origin = here
                with _NetworkErrors():
                    async with pool.stream("GET", url, headers=list(sent.items()), extensions=_TIMEOUTS) as response:
                        received = _headers(response.headers)
                        seen = {**received, **seen}
                        if response.status not in _REDIRECTS or "location" not in received:
                            body = _body(response)
                            yield Answer(url=url, status=response.status, headers=received, seen=seen, body=body)
                            return
                url = urljoin(url, received["location"]).partition("#")[0]
                may_go = None if hosts is None else (*hosts, *redirect_hosts)
        raise Refused("Failed to download URL: it redirects too often.")

    async def post(
        self, url: str, data: bytes, *, headers: Mapping[str, str], seconds: float, local: Sequence[str] = ()
    ) -> int:
        """POST, without following redirects; the status. `local`: hosts (`name` or `name:port`, exactly) that the owner
        of this server allows on any address and port.

        Raises BadInput or Refused with a sentence; TimeoutError, OSError when the network fails.
        """
        parts = split_url(url)
        is_local = _is_named(parts, local)
        if not is_local:
            self._checked(url, None)
        guarded = _Guarded(_anywhere if is_local else self._allowed)
        sent = {"user-agent": "Swarm", "content-length": str(len(data)), **headers}
        timeout = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)}
        with anyio.fail_after(seconds), _NetworkErrors():
            async with (
                httpcore2.AsyncConnectionPool(network_backend=guarded) as pool,
                pool.stream("POST", url, headers=list(sent.items()), content=data, extensions=timeout) as response,
            ):
                return response.status

    async def exchange(
        self, method: str, url: str, data: bytes, *, headers: Mapping[str, str], seconds: float, most: int
    ) -> tuple[int, bytes]:
        """One request to a machine that the owner of this server has named, so private addresses are allowed; those
        that are nobody's machine are not. No redirects; (status, body). `most`: bytes of body.

        Raises BadInput or Refused with a sentence; TimeoutError, OSError when the network fails.
        """
        split_url(url)
        sent = {"user-agent": "Swarm", "content-length": str(len(data)), **headers}
        timeout = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)}
        body = bytearray()
        with anyio.fail_after(seconds), _NetworkErrors():
            async with (
                httpcore2.AsyncConnectionPool(network_backend=_Guarded(is_machine)) as pool,
                pool.stream(method, url, headers=list(sent.items()), content=data, extensions=timeout) as response,
            ):
                async for chunk in response.aiter_stream():
                    body += chunk
                    if len(body) > most:
                        raise Refused(f"The answer is larger than {most // 1_000_000} MB.")
                return response.status, bytes(body)

    async def place(self, url: str) -> tuple[str, int]:
        """(address, port) to connect to for a URL as `exchange` would, for clients that connect by themselves.

        Raises BadInput or Refused with a sentence; OSError when the name leads nowhere.
        """
        parts = split_url(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        addresses = await to_thread(_resolve, host, port)
        if not addresses:
            raise ConnectionError(f"The host '{host}' cannot be found.")
        if not all(is_machine(address) for address in addresses):
            raise Refused(f"The host '{host}' is not a machine that can be asked.", error_id=BLOCKED)
        return str(addresses[0]), port

    def _checked(self, url: str, hosts: Sequence[str] | None) -> SplitResult:
        parts = split_url(url)
        if self._ports is not None and parts.port not in self._ports:
            raise BadInput("Invalid URL.", error_id=BLOCKED)
        host = parts.hostname or ""
        if hosts is not None and not is_host_of(host, hosts):
            raise Refused(
                f"Downloads from '{host}' are not allowed. The owner of this server can add the host to its settings.",
                error_id=BLOCKED,
            )
        return parts


def split_url(url: str) -> SplitResult:
    """The parts of an http(s) URL with nothing odd about it. Raises BadInput."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadInput("Invalid URL.") from None
    odd = re.search(r"[^\x21-\x7e]|\\", url) is not None or port == 0
    host = (parts.hostname or "").lower()
    if odd or parts.scheme not in ("http", "https") or "@" in parts.netloc or not _HOST.fullmatch(host):
        raise BadInput("Invalid URL.")
    return parts


def _anywhere(address: Address) -> bool:
    return True


def _is_named(parts: SplitResult, names: Sequence[str]) -> bool:
    host = (parts.hostname or "").lower()
    mine = {host, f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"}
    return not mine.isdisjoint(name.strip().lower() for name in names)


def is_host_of(host: str, allowed: Iterable[str]) -> bool:
    """Whether `host` is one of the names or below one; `*` is every name."""
    host = host.lower().rstrip(".")
    names = [name.strip().lower().rstrip(".") for name in allowed]
    return any(name == "*" or host == name or (name != "" and host.endswith("." + name)) for name in names)


_TIMEOUTS = {
    "timeout": {"connect": CONNECT_SECONDS, "read": READ_SECONDS, "write": CONNECT_SECONDS, "pool": CONNECT_SECONDS}
}


class _Guarded(httpcore2.AsyncNetworkBackend):
    """Resolves, checks every address, and connects to one that was checked."""

    def __init__(self, allowed: Policy) -> None:
        self._allowed = allowed
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await to_thread(_resolve, host, port)
        if not addresses:
            raise httpcore2.ConnectError(f"The host '{host}' cannot be found.")
        if not all(self._allowed(address) for address in addresses):
            raise Refused(f"The host '{host}' is on a private network, where requests never go.", error_id=BLOCKED)
        failed: Exception | None = None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore2.ConnectError(f"The host '{host}' cannot be reached.")


def _resolve(host: str, port: int) -> list[Address]:
    """Every address of a name, or the one that a number in any notation means. Blocking."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    texts = [str(info[4][0]).partition("%")[0] for info in found]
    return [ip_address(text) for text in dict.fromkeys(texts)]


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}


async def _body(response: httpcore2.Response) -> AsyncIterator[bytes]:
    with _NetworkErrors():
        async for chunk in response.aiter_stream():
            yield chunk


class _NetworkErrors:
    """Turns the client library's errors into Python's own."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, httpcore2.TimeoutException):
            raise TimeoutError("The other side did not answer in time.") from error
        if isinstance(error, httpcore2.NetworkError | httpcore2.ProtocolError | anyio.BrokenResourceError):
            raise ConnectionError(str(error) or "The connection broke.") from error


__all__ = ["BLOCKED", "Answer", "Outgoing", "Policy", "is_host_of", "is_machine", "is_public", "split_url"]
