"""The pages of the interface, and how declared pages become Starlette routes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from swarm.access.permission import Permission
from swarm.base.errors import NotPermitted, UserError
from swarm.state import AppState
from swarm.web.auth import page_user
from swarm.web.errors import not_there, told
from swarm.web.page import Access, Page, page
from swarm.web.static import html_page, script_redirect


@page("/", methods=("GET",))
async def root(state: AppState, request: Request) -> Response:
    """Leads to the main page."""
    # Relative, so that it also works below a path prefix of a proxy.
    return RedirectResponse("Text2Image", status_code=302)


@page("/Text2Image", access=Access.OWN_CHECK)
async def text2image(state: AppState, request: Request) -> Response:
    """The main page. Leads to the login page whoever is not logged in."""
    if await page_user(state, request) is None:
        return script_redirect("Login")
    return await html_page("index.html", state.version, state.upkeep.notices)


@page("/Install")
async def install(state: AppState, request: Request) -> Response:
    """Leads to the main page, as on any server that is installed: this one is, as soon as it runs."""
    return script_redirect("Text2Image")


class PageEndpoint:
    """A page as an ASGI application: checks the method, runs the handler, answers its errors."""

    def __init__(self, state: AppState, page: Page) -> None:
        self._state = state
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._response(Request(scope, receive))
        await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        methods = self._page.methods
        if methods is not None and request.method not in methods:
            return Response(status_code=405, headers={"Allow": ", ".join(methods)})
        try:
            return await self._refusal(request) or await self._page.handler(self._state, request)
        except UserError as error:
            return told(error)

    async def _refusal(self, request: Request) -> Response | None:
        """What is answered to callers whom the page does not let in."""
        access = self._page.access
        if access in (Access.ANYONE, Access.OWN_CHECK):
            return None
        user = await page_user(self._state, request)
        if user is None:
            return told(NotPermitted("invalid or unauthorized", error_id="invalid_user"), status=401)
        if isinstance(access, Permission) and not user.permits(access):
            return told(NotPermitted("You lack permissions for this page.", error_id="bad_permissions"), status=403)
        return None


class _Nowhere:
    """Whatever no other route took."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await not_there()(scope, receive, send)


def page_routes(state: AppState, pages: Mapping[str, Page]) -> list[BaseRoute]:
    """Routes for all pages, matched in any case; the last one takes every other path to `/Error/404`.

    Longer fixed beginnings come first, so that `/View/{path}` never hides a page below it.
    """
    ordered = sorted(pages.values(), key=lambda each: -len(each.path.partition("{")[0]))
    routes = [_route(each.path, PageEndpoint(state, each)) for each in ordered]
    return [*routes, _route("/{path:path}", _Nowhere())]


def _route(path: str, endpoint: PageEndpoint | _Nowhere) -> Route:
    route = Route(path, endpoint)
    # DOTALL and \Z: an address may hold a newline, which must neither escape every route nor pass for the end.
    pattern = route.path_regex.pattern.removesuffix("$") + r"\Z"
    route.path_regex = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return route
