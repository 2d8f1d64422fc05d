"""Login tokens of the caller (swarm-core 5.18). In open mode there are none: nobody logs in."""

from __future__ import annotations

from swarm.access.permissions import EDIT_USER_SETTINGS, READ_USER_SETTINGS
from swarm.api.route import Call, route
from swarm.base.errors import Refused
from swarm.base.json import JsonObject

_OPEN = "Authorization is not enabled."


@route("ListMyAuthTokens", permission=READ_USER_SETTINGS)
async def list_my_auth_tokens(call: Call) -> JsonObject:
    """The caller's logins. Refused while the server has no accounts."""
    raise Refused(_OPEN)


@route("RevokeMyAuthToken", permission=EDIT_USER_SETTINGS, touches=True)
async def revoke_my_auth_token(call: Call, tokenId: str) -> JsonObject:
    """End one of the caller's logins. Refused while the server has no accounts."""
    raise Refused(_OPEN)


@route("CreateAuthToken", permission=EDIT_USER_SETTINGS, touches=True)
async def create_auth_token(call: Call, reason: str) -> JsonObject:
    """Make a login for a program. Refused while the server has no accounts."""
    raise Refused(_OPEN)
