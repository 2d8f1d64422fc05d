"""How much a caller may send before anyone knows who they are: enough to log in, too little to fill the memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.types import Scope

from swarm.api.address import peer_address, source_address
from swarm.base.tasks import to_thread
from swarm.state import AppState

STRANGERS_BODY = 64 * 1024
STRANGERS_MESSAGE = 16 * 1024

MORE = "swarm.more"
"""Name of the extension by which a socket is told that long messages may come: a function without arguments."""


async def is_known(state: AppState, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Whether this may be somebody with a login, as far as can be seen before the body, which names the session.

    Everyone is where there are no accounts. Otherwise it takes a session or a login in the headers, or an address that
    a session was made from: programs send what they got from `GetNewSession` in the body and nothing else.
    """
    accounts = state.accounts
    if accounts.door.is_open:
        return True
    session = state.sessions.live(headers.get(b"x-session-id", b"").decode("latin-1"))
    if session is not None and not session.has_ended:
        return True
    texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
    if await accounts.door.enter(texts, peer_address(scope)) is not None:
        return True
    address = source_address(scope, state.settings.network.max_x_forwarded_for)
    return await to_thread(state.sessions.has_origin, address)


def let_send(scope: Scope) -> None:
    """Tell the connection that long messages may come."""
    more: Callable[[], None] | None = scope.get("extensions", {}).get(MORE)
    if more is not None:
        more()
