"""Sessions: how a client begins."""

from __future__ import annotations

from swarm.access.permissions import MANAGE_USERS
from swarm.accounts.user import User
from swarm.api.route import Call, route
from swarm.api.shapes import Shape
from swarm.backends.backend import BackendStatus
from swarm.base.errors import NotFound, NotPermitted, Refused
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread
from swarm.state import AppState

_NOBODY = "Invalid or unauthorized."
_AT_WORK = (BackendStatus.RUNNING, BackendStatus.LOADING)
SESSION: Shape = {
    "session_id": str,
    "user_id": str,
    "output_append_user": bool,
    "version": str,
    "server_id": str,
    "permissions": [str],
    "count_running": int,
}


@route("GetNewSession", sessionless=True, answers=SESSION)
async def get_new_session(call: Call, impersonateUser: str = "") -> JsonObject:
    """Make a session; its `session_id` goes into every further call, in the body or as the header `X-Session-ID`.

    Where nobody logs in, the user is the one named by the header `X-SWARM-USER_ID`, else the local one. With accounts
    it is the one of the login token, which is the cookie `swarm_token` or `Authorization: Bearer`; a caller on the
    server's own machine may be its owner. `impersonateUser` makes the session for another user who is already known;
    that needs the permission `manage_users`. `count_running`, the backends that run or are starting, is what SwarmUI
    servers of 2024 want to know before they take this one for a backend.
    """
    state = call.state
    entrant = await state.accounts.door.enter(call.headers, call.peer)
    if entrant is None:
        raise Refused(_NOBODY)
    user = await _impersonated(state, entrant.user, impersonateUser) if impersonateUser else entrant.user
    token_id = None if entrant.token is None else entrant.token.id
    session = await to_thread(state.sessions.create, user.id, call.address, token_id, entrant.user.id)
    if token_id is not None and not await to_thread(state.accounts.tokens.exists, token_id):  # it ended meanwhile
        await to_thread(state.sessions.remove, session.id)
        raise Refused(_NOBODY)
    return {
        "session_id": session.id,
        "user_id": user.id,
        "output_append_user": state.settings.paths.append_user_name_to_output_path,
        "version": state.version,
        "server_id": state.server_id,
        "permissions": user.permission_ids(),
        "count_running": sum(one.status in _AT_WORK for one in state.pool.instances()),
    }


async def _impersonated(state: AppState, user: User, name: str) -> User:
    """Raises NotPermitted, NotFound."""
    if not user.permits(MANAGE_USERS):
        raise NotPermitted("You do not have permission to impersonate other users.", error_id="bad_impersonate")
    target = await to_thread(state.users.known, name)
    if target is None:
        raise NotFound("The user you are trying to impersonate does not exist.", error_id="bad_impersonate")
    if not user.rights.covers(target.rights):
        raise NotPermitted("That user may do more than you, so you cannot act as them.", error_id="bad_impersonate")
    return target
