"""A Swarm client as scripts write them: sessions, POST routes, and the generation socket. Knows the wire only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import httpx2
from websockets.sync.client import ClientConnection, connect


class SwarmClient:
    """Talks to a running server at `base` (`http://127.0.0.1:port`)."""

    def __init__(self, base: str, *, timeout: float = 30.0) -> None:
        self.base = base
        self.timeout = timeout
        self.http = httpx2.Client(base_url=base, timeout=timeout, trust_env=False)
        self._session_id: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    @property
    def session_id(self) -> str:
        if self._session_id is None:
            self._session_id = self.raw("GetNewSession", {}).json()["session_id"]
        return self._session_id

    def raw(self, route: str, body: Any, **headers: str) -> httpx2.Response:
        """POST any JSON body as it is."""
        return self.http.post(f"/API/{route}", json=body, headers=headers)

    def post(self, route: str, **body: Any) -> dict[str, Any]:
        """POST with the session id; the answer's JSON object."""
        answer: dict[str, Any] = self.raw(route, {"session_id": self.session_id, **body}).json()
        return answer

    def generate(self, **params: Any) -> dict[str, Any]:
        return self.post("GenerateText2Image", **{"images": 1, **params})

    @contextmanager
    def socket(self, route: str, **headers: str) -> Iterator[ClientConnection]:
        address = self.base.replace("http", "ws", 1) + f"/API/{route}"
        with connect(
            address,
            additional_headers=headers,
            compression=None,
            max_size=None,
            open_timeout=self.timeout,
            close_timeout=5,
            proxy=None,
        ) as socket:
            yield socket

    def stream(self, route: str, **body: Any) -> Iterator[dict[str, Any]]:
        """Send one request over a socket and yield every message until the server closes."""
        with self.socket(route) as socket:
            socket.send(json.dumps({"session_id": self.session_id, **body}))
            for message in socket:
                yield json.loads(message)

    def generate_ws(self, **params: Any) -> list[dict[str, Any]]:
        return list(self.stream("GenerateText2ImageWS", **{"images": 1, **params}))
