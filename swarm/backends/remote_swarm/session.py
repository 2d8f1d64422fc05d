"""A session on another Swarm: opened, renewed when forgotten, its errors made ours (swarm-models-backends 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swarm.backends.peer import CALL_SECONDS, Peer, Unreachable
from swarm.base.errors import BackendError
from swarm.base.json import Json

LOST_SESSION = "invalid_session_id"


class RemoteError(BackendError):
    """The other Swarm understood and turned down what was asked."""


class RemoteSession:
    """`own_id`: this server's id; a Swarm that answers with it is this very server."""

    def __init__(self, peer: Peer, own_id: str, attempt_seconds: float) -> None:
        self._peer = peer
        self._own_id = own_id
        self._attempt_seconds = attempt_seconds
        self.id = ""
        self.server_id = ""

    async def open(self) -> None:
        """Raises BackendError when there is no Swarm, or it is this one."""
        answer = await self._peer.json("POST", "/API/GetNewSession", {}, seconds=self._attempt_seconds)
        session = answer.get("session_id") if isinstance(answer, dict) else None
        if not isinstance(session, str) or not session:
            raise RemoteError(f"{self._peer.base} gave no session: {_error_text(answer) or 'it is no Swarm'}")
        self.server_id = str(answer.get("server_id") or "")
        if self.server_id == self._own_id:
            raise RemoteError(f"{self._peer.base} is this very server, which cannot be its own backend.")
        self.id = session

    async def call(self, name: str, body: Mapping[str, Json], seconds: float = CALL_SECONDS) -> dict[str, Any]:
        """One API call. Raises Unreachable, or RemoteError with what the other said."""
        answer: dict[str, Any] = {}
        for attempt in range(2):
            answer = await self._peer.json("POST", f"/API/{name}", {"session_id": self.id, **body}, seconds=seconds)
            if not isinstance(answer, dict):
                raise Unreachable(f"{self._peer.base} answered {name} with something that is no object.")
            if answer.get("error_id") != LOST_SESSION or attempt:
                break
            await self.open()
        check(answer)
        return answer


def check(answer: dict[str, Any]) -> None:
    """Raises RemoteError when a message says that something went wrong."""
    text = _error_text(answer)
    if text:
        raise RemoteError(f"Remote swarm gave error: {text}")


def _error_text(answer: Any) -> str:
    if not isinstance(answer, dict) or not (answer.get("error") or answer.get("error_id")):
        return ""
    return str(answer.get("error") or answer.get("error_id"))
