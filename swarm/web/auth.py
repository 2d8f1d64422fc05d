"""Who asks for a page or a file: outside the API there is no session, only headers (swarm-core 2.1)."""

from __future__ import annotations

from starlette.requests import Request

from swarm.accounts.user import User
from swarm.state import AppState


def page_user(state: AppState, request: Request) -> User | None:
    """The caller of a page. Open mode: the user named by `X-SWARM-USER_ID`, else the local one. None means nobody."""
    return state.users.caller(request.headers.get("x-swarm-user_id"))
