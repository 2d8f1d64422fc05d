"""Who asks for a page or a file: outside the API there is no session, only headers (swarm-core 2.1)."""

from __future__ import annotations

from starlette.requests import Request

from swarm.accounts.user import User
from swarm.state import AppState


async def page_user(state: AppState, request: Request) -> User | None:
    """The caller of a page. None means nobody: accounts are needed here, and nobody logged in."""
    peer = request.client.host if request.client is not None else ""
    entrant = await state.accounts.door.enter(request.headers, peer)
    return None if entrant is None else entrant.user
