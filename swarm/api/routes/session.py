"""Sessions: how a client begins."""

from __future__ import annotations

from swarm.access.permissions import MANAGE_USERS
from swarm.api.route import Call, route
from swarm.api.shapes import Shape
from swarm.base.errors import NotFound, NotPermitted
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread

SESSION: Shape = {
    "session_id": str,
    "user_id": str,
    "output_append_user": bool,
    "version": str,
    "server_id": str,
    "permissions": [str],
}


@route("GetNewSession", sessionless=True, answers=SESSION)
async def get_new_session(call: Call, impersonateUser: str = "") -> JsonObject:
    """Make a session; its `session_id` goes into every further call, in the body or as the header `X-Session-ID`.

    The user is the one named by the header `X-SWARM-USER_ID`, else the local one. `impersonateUser` makes the session
    for another user who is already known; that needs the permission `manage_users`.
    """
    state = call.state
    user = state.users.caller(call.headers.get("x-swarm-user_id"))
    if impersonateUser:
        if not user.permits(MANAGE_USERS):
            raise NotPermitted("You do not have permission to impersonate other users.", error_id="bad_impersonate")
        target = state.users.find(impersonateUser)
        if target is None:
            raise NotFound("The user you are trying to impersonate does not exist.", error_id="bad_impersonate")
        user = target
    session = await to_thread(state.sessions.create, user.id, call.address)
    return {
        "session_id": session.id,
        "user_id": user.id,
        "output_append_user": state.settings.paths.append_user_name_to_output_path,
        "version": state.version,
        "server_id": state.server_id,
        "permissions": user.permission_ids(),
    }
