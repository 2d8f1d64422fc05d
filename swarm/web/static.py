"""The files under static/, as they are: style, script, fonts and pictures of the interface."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from html import escape
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from swarm.base.json import dumps
from swarm.base.tasks import to_thread
from swarm.state import AppState
from swarm.web.errors import not_there
from swarm.web.page import Page

STATIC = Path(__file__).resolve().parents[2] / "static"
_FOLDERS = ("css", "js", "fonts", "imgs")
_SERVED = frozenset(
    [
        ".css",
        ".js",
        ".mjs",
        ".json",
        ".woff",
        ".woff2",
        ".ttf",
        ".png",
        ".jpg",
        ".jpeg",
        ".webp",
        ".gif",
        ".svg",
        ".ico",
    ]
)
_METHODS = ("GET", "HEAD")
_STAMP = "{{vary}}"
_BODY = re.compile(r"<body[^>]*>", re.IGNORECASE)
_INLINE_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)


def _policy(scripts: str) -> str:
    """What our own pages may load: only what this server sends, and pictures they hold in memory."""
    return (
        f"default-src 'self'; script-src 'self'{scripts}; style-src 'self'; "
        "img-src 'self' data: blob:; media-src 'self' data: blob:; connect-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


async def html_page(
    name: str, version: str, notices: tuple[str, ...] = (), *, words: Mapping[str, str] = MappingProxyType({})
) -> Response:
    """A page of static/, with the version in place of `{{vary}}`, so that its links change with every update.

    `notices`: sentences to show above everything else. `words`: plain texts for further places like `{{title}}`.
    """
    path = STATIC / name
    try:
        stamp = (await to_thread(path.stat)).st_mtime_ns
        html, policy = await to_thread(_stamped, path, stamp, version, notices)
    except FileNotFoundError:
        return not_there()
    for word, text in words.items():
        html = html.replace(f"{{{{{word}}}}}", escape(text))
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": policy}
    return Response(html, media_type="text/html", headers=headers)


def script_redirect(target: str) -> Response:
    """A page that leads on by script (swarm-core 2.10), and without scripts by a link."""
    script = f"window.location.replace({_literal(target)})"
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Swarm</title>'
        f"<script>{script}</script></head><body>"
        f'<p><a href="{escape(target)}">Go on to {escape(target)}</a></p></body></html>'
    )
    allowed = b64encode(sha256(script.encode()).digest()).decode()
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": _policy(f" 'sha256-{allowed}'")}
    return Response(html, media_type="text/html", headers=headers)


def _literal(text: str) -> str:
    """A text as a script writes it, with nothing in it that could end the script or its line."""
    letters = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
    return "".join(letters.get(letter, letter) for letter in dumps(text).decode())


@lru_cache(maxsize=16)
def _stamped(path: Path, stamp: int, version: str, notices: tuple[str, ...]) -> tuple[str, str]:
    """The finished text of a page, and its policy. `stamp`: the file's time, so that edits are noticed."""
    html = path.read_text("utf-8").replace(_STAMP, quote(version))
    if notices:
        banner = "".join(f'<p role="alert" class="notice">{escape(each)}</p>' for each in notices)
        html = _BODY.sub(lambda found: found[0] + banner, html, count=1)
    hashes = [b64encode(sha256(each.encode()).digest()).decode() for each in _INLINE_SCRIPT.findall(html)]
    return html, _policy("".join(f" 'sha256-{each}'" for each in hashes))


async def _file(folder: Path, path: str, request: Request) -> Response:
    """A file below `folder`, with ETag and conditional answers; whatever else is asked leads to the 404 page."""
    if Path(path).suffix.lower() not in _SERVED:
        return not_there()
    try:
        response = await StaticFiles(directory=folder, check_dir=False).get_response(path, request.scope)
    except HTTPException:
        return not_there()
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = _policy("")
    return response


def _folder_page(folder: str) -> Page:
    async def serve(state: AppState, request: Request) -> Response:
        return await _file(STATIC / folder, request.path_params["path"], request)

    return Page(path=f"/{folder}/{{path:path}}", methods=_METHODS, handler=serve, doc=f"Files of static/{folder}.")


async def _favicon(state: AppState, request: Request) -> Response:
    response = await _file(STATIC, "favicon.ico", request)
    if "content-type" in response.headers:
        response.headers["Content-Type"] = "image/x-icon"  # what systems guess differs
    return response


STYLES, SCRIPTS, FONTS, PICTURES = (_folder_page(folder) for folder in _FOLDERS)
FAVICON = Page(path="/favicon.ico", methods=_METHODS, handler=_favicon, doc="The icon of the browser tab.")
