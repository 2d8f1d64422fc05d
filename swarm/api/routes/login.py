"""Accounts of visitors: logging in and out, and making an account (swarm-core 5.1 to 5.5)."""

from __future__ import annotations

import logging

from swarm.access.permissions import FUNDAMENTAL
from swarm.accounts.names import clean_name
from swarm.accounts.passwords import LONGEST, SHORTEST
from swarm.api.cookies import login_cookie, no_cookie
from swarm.api.ending import interrupt_ended
from swarm.api.route import Call, route
from swarm.base.errors import BadInput, Refused
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread, to_thread_limited

_NAME_LENGTHS = range(3, 101)
_PASSWORD_LENGTHS = range(SHORTEST, LONGEST + 1)
_DONE = {"success": "true"}

_log = logging.getLogger(__name__)


def _failed(error_id: str) -> JsonObject:
    return {"error_id": error_id}


@route("Login", sessionless=True, answers={"success": str})
async def login(call: Call, username: str, password: str) -> JsonObject:
    """Log in: the answer sets the cookie `swarm_token`, with which `GetNewSession` gives a session of that account.

    Failures have an `error_id` only: `invalid_login` or `ratelimit`. A page sends
    `sha256("swarmclientpw:<username>:<password>")` in hex, a script may send the password as it is.
    """
    accounts, name = call.state.accounts, clean_name(username)
    if not call.state.settings.user_authorization.allow_simple_password_login:
        return _failed("invalid_login")
    if len(name) not in _NAME_LENGTHS or len(password) not in _PASSWORD_LENGTHS:
        return _failed("invalid_login")
    if not accounts.limits.count(call.counted, name) or accounts.is_flooded:
        _log.warning("Too many logins: '%s' from %s.", name, call.address)
        return _failed("ratelimit")
    if not await to_thread_limited(accounts.hashers, lambda: accounts.passwords.matches(name, password)):
        _log.warning("A login of '%s' from %s failed.", name, call.address)
        return _failed("invalid_login")
    agent = call.headers.get("user-agent", "unknown")
    token = await to_thread(accounts.tokens.create, name, address=call.address, agent=agent)
    call.cookies.append(login_cookie(token, call.state.clock()))
    _log.info("'%s' logged in from %s.", name, call.address)
    return _DONE


@route("RegisterBasic", sessionless=True, answers={"success": str})
async def register_basic(call: Call, username: str, password: str) -> JsonObject:
    """Make an account, where the settings allow it. It can then log in.

    Failures have an `error_id` only: `invalid_input`, `ratelimit`, `username_exists` or `registration_failed`.
    """
    accounts, name = call.state.accounts, clean_name(username)
    rules = call.state.settings.user_authorization.registration
    if len(name) not in _NAME_LENGTHS or len(password) not in _PASSWORD_LENGTHS:
        return _failed("invalid_input")
    if not accounts.limits.count(call.counted, name) or accounts.is_flooded:
        return _failed("ratelimit")
    if not rules.allow_registration or not rules.simple_password_registration:
        return _failed("registration_failed")
    if not await to_thread(accounts.may_register, name):
        return _failed("username_exists")
    role = rules.new_user_default_role
    try:
        await to_thread_limited(accounts.hashers, lambda: accounts.add(name, password, role, by_admin=False))
    except BadInput:
        return _failed("invalid_input")
    except Refused:
        return _failed("registration_failed")
    _log.info("'%s' registered from %s.", name, call.address)
    return _DONE


@route("RegisterOAuth", sessionless=True, answers={"success": str})
async def register_oauth(call: Call, username: str, oauth_tracker_key: str, oauth_type: str) -> JsonObject:
    """Make an account for a login elsewhere. No such login is offered here, so there is no key that would be known.

    Failures have an `error_id` only: `invalid_input` or `ratelimit`.
    """
    name = clean_name(username)
    if len(name) not in _NAME_LENGTHS:
        return _failed("invalid_input")
    if not call.state.accounts.limits.count(call.counted, name):
        return _failed("ratelimit")
    return _failed("invalid_input")


@route("Logout", permission=FUNDAMENTAL, touches=True, answers={"success": str})
async def logout(call: Call) -> JsonObject:
    """End the login of the caller's cookie, with all sessions that came from it."""
    accounts = call.state.accounts
    if accounts.door.is_open:
        raise Refused("Authorization is not enabled, you have no account to log out of.")
    token = await accounts.door.token(call.headers)
    if token is None or token.user_id != call.caller.user.id:
        raise Refused("You do not appear to be actually logged in. How'd you get here?")
    await to_thread(accounts.tokens.revoke, token.user_id, token.id)
    interrupt_ended(call.state, await to_thread(accounts.sessions.end_login, token.id))
    call.cookies.append(no_cookie())
    return _DONE
