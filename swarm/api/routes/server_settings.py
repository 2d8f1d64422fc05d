"""The settings of the server: listing and changing them (swarm-core 6.1, 6.2)."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from swarm.access.permissions import EDIT_SERVER_SETTINGS, MANAGE_USERS, READ_SERVER_SETTINGS
from swarm.accounts.user import User
from swarm.api.route import Body, Call, route
from swarm.api.shapes import ANY, SUCCESS, Map, Null, Shape
from swarm.base.errors import BadInput, NotPermitted, Refused
from swarm.base.json import Json, JsonObject
from swarm.base.tasks import to_thread
from swarm.settings.server import ServerSettings
from swarm.settings.wire import changed_settings, settings_map
from swarm.state import AppState

_LOCKS = ("userauthorization.authorizationrequired", "userauthorization.allowlocalhostbypass")
_log = logging.getLogger(__name__)
_ABOUT_PEOPLE = ("userauthorization.", "defaultuser.roles", "network.requiredauthorization", "network.authbypassips")
_NO_PASSWORD = (
    "Tried to enable authorization mode, but your account does not have a password. Configure your account login "
    "information before enabling authorization, so you don't get locked out."
)
SETTING: Shape = {
    "type": str,
    "name": str,
    "value": ANY,
    "description": str,
    "values": Null([str]),
    "value_names": Null([str]),
    "is_secret": bool,
    "default_value?": ANY,
}


@route("ListServerSettings", permission=READ_SERVER_SETTINGS, answers={"settings": Map(SETTING)})
async def list_server_settings(call: Call) -> JsonObject:
    """Every setting of the server with its value, default and help: `{"settings": {name: setting, …}}`.

    A setting has `type`, `name`, `value`, `description`, `values`, `value_names`, `is_secret` and `default_value`; the
    value of a `group` is a map of the same form. Secrets are masked.
    """
    return {"settings": settings_map(ServerSettings, call.state.settings)}


@route("ChangeServerSettings", permission=EDIT_SERVER_SETTINGS, touches=True, answers=SUCCESS)
async def change_server_settings(call: Call, body: Body) -> JsonObject:
    """Change settings by dotted path, in any case: `{"settings": {"network.outputcacheseconds": 60}}`.

    All changes are saved and take effect at once, or none; settings whose help says so are read at the next start.
    Unknown paths are skipped. Changes below `paths.` have the models read again.
    """
    changes = body.get("settings")
    if not isinstance(changes, dict):
        raise BadInput("The body needs 'settings', an object of new values by dotted path.")
    await to_thread(_guard_lockout, call.state, call.caller.user, changes)
    await to_thread(call.state.settings_store.change, changes)
    _log.info("'%s' changed settings: %.300r.", call.caller.user.id, list(changes))
    if any(path.lower().startswith("paths.") for path in changes):
        await to_thread(call.state.catalog.refresh)
    return {"success": True}


def _guard_lockout(state: AppState, caller: User, changes: Mapping[str, Json]) -> None:
    """Before everyone has to log in, here or from afar: the caller must be able to, and keeps their roles. Blocking.

    Raises Refused, and NotPermitted for settings that decide who may do what.
    """
    if any(path.lower().startswith(_ABOUT_PEOPLE) for path in changes) and not caller.permits(MANAGE_USERS):
        raise NotPermitted("Only who manages users may change who is let in.", error_id="bad_permissions")
    if not any(path.lower() in _LOCKS for path in changes):
        return
    wanted = changed_settings(state.settings, changes).user_authorization
    if not wanted.authorization_required or (not state.accounts.door.is_open and wanted.allow_localhost_bypass):
        return
    if not state.accounts.passwords.is_set(caller.id):
        raise Refused(_NO_PASSWORD)
    state.users.keep_roles(caller)
