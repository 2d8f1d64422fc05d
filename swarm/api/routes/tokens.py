"""Login tokens of the caller (swarm-core 5.18). In open mode there are none: nobody logs in."""

from __future__ import annotations

from swarm.access.permissions import EDIT_USER_SETTINGS, READ_USER_SETTINGS
from swarm.accounts.accounts import Accounts
from swarm.api.ending import interrupt_ended
from swarm.api.route import Call, route
from swarm.api.shapes import SUCCESS, Shape
from swarm.base.errors import BadInput, NotFound, Refused
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread

_OPEN = "Authorization is not enabled."
_LONGEST_REASON = 500
TOKEN: Shape = {
    "id": str,
    "created": int,
    "last_active": int,
    "user_agent": str,
    "origin_address": str,
    "is_current": bool,
}


@route("ListMyAuthTokens", permission=READ_USER_SETTINGS, answers={"tokens": [TOKEN]})
async def list_my_auth_tokens(call: Call) -> JsonObject:
    """The caller's logins, oldest first. Refused while the server has no accounts."""
    accounts = _accounts(call)
    current = await accounts.door.token(call.headers)
    mine = await to_thread(accounts.tokens.of_user, call.caller.user.id)
    return {"tokens": [token.to_wire(is_current=current is not None and token.id == current.id) for token in mine]}


@route("RevokeMyAuthToken", permission=EDIT_USER_SETTINGS, touches=True, answers=SUCCESS)
async def revoke_my_auth_token(call: Call, tokenId: str) -> JsonObject:
    """End one of the caller's logins, with the sessions that came from it."""
    accounts = _accounts(call)
    if not await to_thread(accounts.tokens.revoke, call.caller.user.id, tokenId):
        raise NotFound("Token not found.")
    interrupt_ended(call.state, await to_thread(accounts.sessions.end_login, tokenId))
    return {"success": True}


@route("CreateAuthToken", permission=EDIT_USER_SETTINGS, touches=True, answers={"token": str})
async def create_auth_token(call: Call, reason: str) -> JsonObject:
    """Make a login for a program, which sends it as the cookie `swarm_token` or as `Authorization: Bearer`.

    `reason`: what it is for, up to 500 letters. The token is shown this once.
    """
    accounts = _accounts(call)
    if not 1 <= len(reason.strip()) <= _LONGEST_REASON:
        raise BadInput("Reason must be between 1 and 500 characters.")
    user_id = call.caller.user.id
    return {"token": await to_thread(accounts.tokens.create, user_id, address=call.address, agent=reason.strip())}


def _accounts(call: Call) -> Accounts:
    """Raises Refused in open mode."""
    if call.state.accounts.door.is_open:
        raise Refused(_OPEN)
    return call.state.accounts
