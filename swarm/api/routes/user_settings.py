"""The caller's settings and password (swarm-core 5.11 to 5.13)."""

from __future__ import annotations

from collections.abc import Mapping

from swarm.access.permissions import EDIT_USER_SETTINGS, READ_USER_SETTINGS
from swarm.api.route import Call, route
from swarm.api.shapes import ANY, SUCCESS, Map
from swarm.base.errors import BadInput
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread
from swarm.settings.user import UserSettings
from swarm.settings.wire import settings_map

_THEMES: JsonObject = {
    "modern_dark": {"name": "Modern Dark", "is_dark": True, "css_paths": ["css/tokens.css"]},
    "modern_light": {"name": "Modern Light", "is_dark": False, "css_paths": ["css/tokens.css"]},
}


@route(
    "GetUserSettings",
    permission=READ_USER_SETTINGS,
    answers={"themes": Map({"name": str, "is_dark": bool, "css_paths": [str]}), "settings": Map(ANY)},
)
async def get_user_settings(call: Call) -> JsonObject:
    """The caller's settings, as a form can be made of them, and the themes of the page."""
    return {
        "themes": _THEMES,
        "settings": settings_map(UserSettings, call.caller.user.settings, leave_out=["roles"]),
    }


@route("ChangeUserSettings", permission=EDIT_USER_SETTINGS, touches=True, answers=SUCCESS)
async def change_user_settings(call: Call) -> JsonObject:
    """Change settings of the caller: the object `settings` holds dotted paths and values.

    `{"fileformat.imageformat": "JPG"}`. Paths that do not exist are skipped; a value that does not fit changes nothing.
    """
    changes = call.body.get("settings")
    if not isinstance(changes, Mapping):
        raise BadInput("The object 'settings' is missing.")
    await to_thread(call.state.users.change_settings, call.caller.user, changes)
    return {"success": True}


@route("ChangePassword", permission=EDIT_USER_SETTINGS, touches=True, answers=SUCCESS)
async def change_password(call: Call, oldPassword: str, newPassword: str) -> JsonObject:
    """Set the caller's password. The old one is not asked for when there is none."""
    await to_thread(call.state.passwords.change, call.caller.user.id, oldPassword, newPassword)
    return {"success": True}
