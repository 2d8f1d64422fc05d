"""Accounts of others, for administrators (swarm-core 6.8)."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from swarm.access.permissions import INTERRUPT_OTHERS, MANAGE_USERS
from swarm.accounts.names import clean_name
from swarm.accounts.passwords import LONGEST, SHORTEST
from swarm.accounts.user import User
from swarm.api.ending import interrupt_ended
from swarm.api.route import Call, route
from swarm.api.routes.server_settings import SETTING
from swarm.api.shapes import SUCCESS, Map
from swarm.base.errors import BadInput, NotFound, NotPermitted, Refused
from swarm.base.json import JsonObject
from swarm.base.paths import clean_file_name
from swarm.base.tasks import to_thread, to_thread_limited
from swarm.settings.user import UserSettings
from swarm.settings.wire import settings_map

_LONGEST_NAME = 70
_LONGEST_EMAIL = 320
_INFO = {
    "user_id": str,
    "password_set_by_admin": bool,
    "settings": Map(SETTING),
    "oauth_email": str,
    "max_t2i": int,
}

_log = logging.getLogger(__name__)


async def _user(call: Call, name: str) -> User:
    """Raises NotFound."""
    user = await to_thread(call.state.users.known, clean_file_name(name))
    if user is None:
        raise NotFound("No user by that name exists.")
    return user


def _refuse_above(call: Call, user: User) -> None:
    """Nobody takes over an account that may do more than their own. Raises NotPermitted."""
    if not call.caller.user.rights.covers(user.rights):
        raise NotPermitted("That account may do more than yours, so you cannot change it.", error_id="bad_permissions")


def _refuse_giving(call: Call, roles: object) -> None:
    """Nobody gives away rights that they do not have. Raises NotPermitted."""
    known = call.state.accounts.roles
    mine = call.caller.user.rights
    for each in roles if isinstance(roles, list) else str(roles).split(","):
        role = known.get(str(each).strip())
        if role is not None and not mine.covers(role.rights):
            sentence = f"The role {role.name} may do more than you, so you cannot give it."
            raise NotPermitted(sentence, error_id="bad_permissions")


@route("AdminListUsers", permission=MANAGE_USERS, answers={"users": [str]})
async def admin_list_users(call: Call) -> JsonObject:
    """The ids of all users."""
    return {"users": list(await to_thread(call.state.users.ids))}


@route("AdminAddUser", permission=MANAGE_USERS, touches=True, answers=SUCCESS)
async def admin_add_user(call: Call, name: str, password: str, role: str) -> JsonObject:
    """Make an account with a password and one role."""
    user_id = clean_name(name)
    if len(user_id) < 3:
        raise BadInput("Username must be at least 3 characters long, A-Z 0-9 only.")
    if len(password) < SHORTEST:
        raise BadInput("Password must be at least 8 characters long.")
    if len(user_id) > _LONGEST_NAME or len(password) > LONGEST:
        raise BadInput("Username or password too long.")
    _refuse_giving(call, [role])
    accounts = call.state.accounts
    await to_thread_limited(accounts.hashers, lambda: accounts.add(user_id, password, role, by_admin=True))
    _log.info("'%s' made the account '%s' with the role %.100r.", call.caller.user.id, user_id, role)
    return {"success": True}


@route("AdminSetUserPassword", permission=MANAGE_USERS, touches=True, answers=SUCCESS)
async def admin_set_user_password(call: Call, name: str, password: str) -> JsonObject:
    """Set someone's password, blank for none. All their logins end."""
    user, accounts = await _user(call, name), call.state.accounts
    _refuse_above(call, user)
    if password and len(password) < SHORTEST:
        raise BadInput("Password must be at least 8 characters long.")
    if len(password) > LONGEST:
        raise BadInput("Password too long.")
    ended = await to_thread_limited(accounts.hashers, lambda: accounts.set_password(user.id, password))
    interrupt_ended(call.state, ended)
    _log.info("'%s' set the password of '%s'.", call.caller.user.id, user.id)
    return {"success": True}


@route("AdminSetUserOAuthEmail", permission=MANAGE_USERS, touches=True, answers=SUCCESS)
async def admin_set_user_oauth_email(call: Call, name: str, email: str) -> JsonObject:
    """Note the mail address that belongs to an account, blank for none. Two accounts cannot have the same."""
    user = await _user(call, name)
    _refuse_above(call, user)
    if len(email) > _LONGEST_EMAIL:
        raise BadInput("That is too long for a mail address.")
    await to_thread(call.state.accounts.set_email, user.id, email.strip())
    return {"success": True}


@route("AdminChangeUserSettings", permission=MANAGE_USERS, touches=True, answers=SUCCESS)
async def admin_change_user_settings(call: Call, name: str) -> JsonObject:
    """Change someone's settings, `roles` included: the object `settings` holds dotted paths and values.

    Sessions of someone who may do less than before end at once.
    """
    user = await _user(call, name)
    changes = call.body.get("settings")
    if not isinstance(changes, Mapping):
        raise BadInput("The object 'settings' is missing.")
    _refuse_above(call, user)
    for path, value in changes.items():
        if path.lower() == "roles":
            _refuse_giving(call, value)
    interrupt_ended(call.state, await to_thread(call.state.accounts.change_settings, user, changes))
    _log.info("'%s' changed settings of '%s': %.300r.", call.caller.user.id, user.id, list(changes))
    return {"success": True}


@route("AdminDeleteUser", permission=MANAGE_USERS, touches=True, answers=SUCCESS)
async def admin_delete_user(call: Call, name: str) -> JsonObject:
    """Delete an account with all it left but its pictures. Its logins and sessions end."""
    user = await _user(call, name)
    if user.id == call.caller.user.id:
        raise Refused("You may not delete yourself.")
    _refuse_above(call, user)
    interrupt_ended(call.state, await to_thread(call.state.accounts.delete, user.id))
    _log.info("'%s' deleted the account '%s'.", call.caller.user.id, user.id)
    return {"success": True}


@route("AdminGetUserInfo", permission=MANAGE_USERS, answers=_INFO)
async def admin_get_user_info(call: Call, name: str) -> JsonObject:
    """What is known of an account: its settings with its roles, and how many pictures it may have in work."""
    user, accounts = await _user(call, name), call.state.accounts
    return {
        "user_id": user.id,
        "password_set_by_admin": await to_thread(accounts.password_by_admin, user.id),
        "settings": settings_map(UserSettings, user.settings),
        "oauth_email": await to_thread(accounts.email, user.id),
        "max_t2i": call.state.generation.simultaneous(user),
    }


@route("AdminInterruptUser", permission=INTERRUPT_OTHERS, touches=True, answers=SUCCESS)
async def admin_interrupt_user(call: Call, name: str) -> JsonObject:
    """Stop everything that someone's sessions have asked for."""
    user = await _user(call, name)
    call.state.generation.interrupt_user(user.id)
    return {"success": True}
