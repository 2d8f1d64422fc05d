"""The pages for logging in and for making an account (swarm-core 8.1)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from swarm.state import AppState
from swarm.web.auth import page_user
from swarm.web.page import page
from swarm.web.static import html_page, script_redirect

_MAIN = "Text2Image"


@page("/Login")
async def login(state: AppState, request: Request) -> Response:
    """The login page; leads to the main page whoever needs no login."""
    if await page_user(state, request) is not None:
        return script_redirect(_MAIN)
    about = state.settings.user_authorization
    words = {
        "title": about.instance_title,
        "notice": about.login_notice,
        "register": "yes" if _may_register(state) else "no",
    }
    return await html_page("login.html", state.version, words=words)


@page("/Register")
async def register(state: AppState, request: Request) -> Response:
    """The page for new accounts; leads to the login page where nobody may make one."""
    if await page_user(state, request) is not None:
        return script_redirect(_MAIN)
    if not _may_register(state):
        return script_redirect("Login")
    about = state.settings.user_authorization
    words = {"title": about.instance_title, "notice": about.registration.register_notice}
    return await html_page("register.html", state.version, words=words)


def _may_register(state: AppState) -> bool:
    rules = state.settings.user_authorization.registration
    return rules.allow_registration and rules.simple_password_registration
