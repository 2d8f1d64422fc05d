"""Another machine that a backend talks to: JSON over HTTP, and WebSockets, at one address and nowhere else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI

from swarm.base.errors import BackendError, UserError
from swarm.base.json import Json
from swarm.base.outgoing import Outgoing, split_url

LARGEST = 256 * 1024 * 1024
CALL_SECONDS = 600.0


class Unreachable(BackendError):
    """The machine does not answer, or not with what it should."""


class Peer:
    """`address`: as an administrator wrote it. `headers`: sent with everything. Raises BackendError for no address."""

    def __init__(self, outgoing: Outgoing, address: str, headers: Mapping[str, str] | None = None) -> None:
        self.base = address.strip().rstrip("/")
        self._outgoing = outgoing
        self._headers = dict(headers or {})
        try:
            parts = split_url(self.base)
        except UserError:
            raise BackendError(f"The address '{address}' is not one: write it like http://host:7801.") from None
        if parts.query or parts.fragment:
            raise BackendError(f"The address '{address}' must not have a '?' or '#' part.")

    async def bytes(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> tuple[int, bytes]:
        """(status, body). Raises Unreachable."""
        sent = {**self._headers, **(headers or {})}
        try:
            return await self._outgoing.exchange(
                method, self.base + path, body, headers=sent, seconds=seconds, most=LARGEST
            )
        except TimeoutError:
            raise Unreachable(f"{self.base} did not answer in time.") from None
        except (OSError, UserError) as error:
            raise Unreachable(f"{self.base} cannot be reached: {error}") from None

    async def json(self, method: str, path: str, body: Json = None, *, seconds: float = CALL_SECONDS) -> Any:
        """The answer's JSON, whatever its status. Raises Unreachable, also when it is no JSON."""
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if data else {}
        status, answer = await self.bytes(method, path, data, headers=headers, seconds=seconds)
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            raise Unreachable(f"{self.base}{path} answered {status} with something that is not JSON.") from None

    @asynccontextmanager
    async def socket(self, path: str, *, seconds: float = 30.0) -> AsyncIterator[ClientConnection]:
        """An open WebSocket. Raises Unreachable when it cannot be opened; later errors are the library's."""
        url = self.base + path
        try:
            host, port = await self._outgoing.place(url)
            opening = connect(
                url.replace("http", "ws", 1),
                host=host,
                port=port,
                additional_headers=self._headers,
                compression=None,
                proxy=None,
                max_size=LARGEST,
                open_timeout=seconds,
                close_timeout=2,
            )
            opened = await opening
        except (OSError, UserError, InvalidHandshake, InvalidURI, EOFError) as error:
            raise Unreachable(f"{self.base} did not open a socket: {error}") from None
        try:
            yield opened
        finally:
            await opened.close()


def header_lines(authorization: str, others: str) -> dict[str, str]:
    """The headers of two settings: a whole `Authorization` value, and lines of `Name: Value`. Raises BackendError."""
    headers = {"Authorization": authorization.strip()} if authorization.strip() else {}
    for line in filter(None, map(str.strip, others.splitlines())):
        name, colon, value = line.partition(":")
        is_token = name.strip().replace("-", "").replace("_", "").isalnum()
        if not colon or not is_token or not value.strip().isprintable():
            raise BackendError("Other Headers must be lines of the form 'Name: Value'.")
        headers[name.strip()] = value.strip()
    return headers
