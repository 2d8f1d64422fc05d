"""Error pages, and how errors outside the API are answered."""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from swarm.base.errors import NotFound, UserError
from swarm.base.json import Json, dumps
from swarm.state import AppState
from swarm.web.page import page

_STYLE = (
    "color-scheme: light dark; font-family: system-ui, sans-serif; margin: 15vh auto; max-width: 36rem; padding: 1rem"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


def error_page(title: str, sentence: str, *, status: int = 200) -> HTMLResponse:
    """A small page that says what is wrong and leads back."""
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"></head><body style="{_STYLE}">'
        f'<h1>{escape(title)}</h1><p>{escape(sentence)}</p><p><a href="/Text2Image">Back to Swarm</a></p></body></html>'
    )
    return HTMLResponse(html, status_code=status, headers={"Content-Security-Policy": _POLICY})


def told(error: UserError, *, status: int | None = None) -> Response:
    """A sentence for the caller as JSON: 404 for what does not exist, 400 for the rest (swarm-core 8.4)."""
    body: dict[str, Json] = {"error": error.sentence}
    if error.error_id is not None:
        body["error_id"] = error.error_id
    return Response(
        dumps(body),
        status_code=status or (404 if isinstance(error, NotFound) else 400),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def not_there() -> Response:
    """The answer to any path that leads nowhere."""
    return RedirectResponse("/Error/404", status_code=302)


async def internal_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for whatever else goes wrong; the log has the details."""
    return error_page("Internal error", "Something went wrong. The server's log says what.", status=500)


@page("/Error/404")
async def no_such_page(state: AppState, request: Request) -> Response:
    """Where paths that lead nowhere are sent."""
    return error_page("Not found", "There is nothing at this address.", status=404)


@page("/Error/Internal")
async def internal(state: AppState, request: Request) -> Response:
    """Says that something went wrong."""
    return error_page("Internal error", "Something went wrong. The server's log says what.", status=500)


@page("/Error/BasicAPI")
async def basic_api(state: AppState, request: Request) -> Response:
    """Says that a call was not a proper API call."""
    return error_page("Not a proper call", "The API takes JSON objects. docs/routes.md lists its routes.")


@page("/Error/NoGetAPI")
async def no_get_api(state: AppState, request: Request) -> Response:
    """Where API calls by anything but POST are sent."""
    return error_page("The API needs POST", "API routes are called by POST or WebSocket, not by opening their address.")


@page("/Error/Permissions")
async def permissions(state: AppState, request: Request) -> Response:
    """Says that the caller may not do this."""
    return error_page("Not permitted", "Your roles do not allow this.")
