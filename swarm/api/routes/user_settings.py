"""The caller's settings and password (swarm-core 5.11 to 5.13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swarm.access.permissions import EDIT_USER_SETTINGS, READ_USER_SETTINGS
from swarm.api.ending import interrupt_ended
from swarm.api.route import Call, route
from swarm.api.shapes import ANY, SUCCESS, Map
from swarm.base.errors import BadInput
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread, to_thread_limited
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
    return await to_thread(_listed, call)


def _listed(call: Call) -> JsonObject:
    """Languages and word lists are files: what can be chosen is what is there now. Blocking."""
    upkeep = call.state.upkeep
    shown = settings_map(UserSettings, call.caller.user.settings, leave_out=["roles"])
    offered: JsonObject = {
        **shown,
        "language": _offering(shown["language"], upkeep.languages.codes()),
        "audio": _within(shown["audio"], "completionsound", ["", *upkeep.sounds.names()]),
        "autocomplete": _within(shown["autocomplete"], "source", ["", *upkeep.word_lists.names()]),
    }
    return {"themes": _THEMES, "settings": offered}


def _within(group: Any, name: str, options: list[str]) -> JsonObject:
    """A group whose setting `name` offers `options`."""
    return {**group, "value": {**group["value"], name: _offering(group["value"][name], options)}}


def _offering(setting: Any, options: list[str]) -> JsonObject:
    return {**setting, "values": options, "value_names": options}


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
    """Set the caller's password. The old one is not asked for when there is none.

    The caller's other logins end, and all sessions but this one.
    """
    accounts, session = call.state.accounts, call.caller
    ended = await to_thread_limited(
        accounts.hashers, lambda: accounts.change_password(session, oldPassword, newPassword)
    )
    interrupt_ended(call.state, ended)
    return {"success": True}
