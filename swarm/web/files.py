"""Pictures and other outputs over GET: /View/* and /Output/* (swarm-core 8.4)."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from swarm.access.permissions import VIEW_OTHERS_OUTPUTS
from swarm.accounts.user import User
from swarm.base.errors import BadInput, NotFound
from swarm.base.json import dumps
from swarm.base.paths import clean_output_path, is_hidden, is_too_long, open_under, under
from swarm.base.tasks import to_thread, to_thread_limited
from swarm.outputs.history import metadata_of
from swarm.outputs.previews import Preview
from swarm.state import AppState
from swarm.web.auth import page_user
from swarm.web.page import Access, page
from swarm.web.ranges import OpenFileResponse

_NO_SUCH_FILE = "404, file not found."
_BAD_PREFIX = "view output path prefix does not make sense"

_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "png": "image/png",
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "webp": "image/webp",
        "gif": "image/gif",
        "ico": "image/x-icon",
        "svg": "image/svg+xml",
        "mp3": "audio/mpeg",
        "wav": "audio/x-wav",
        "wave": "audio/x-wav",
        "aac": "audio/aac",
        "flac": "audio/flac",
        "ogg": "application/ogg",
        "mp4": "video/mp4",
        "mpeg": "video/mpeg",
        "mov": "video/quicktime",
        "webm": "video/webm",
        "js": "application/javascript",
        "json": "application/json",
        "zip": "application/zip",
        "dat": "application/octet-stream",
        "css": "text/css",
        "htm": "text/html",
        "html": "text/html",
        "txt": "text/plain",
        "yml": "text/plain",
        "fds": "text/plain",
        "xml": "text/xml",
    }
)
"""Content types by extension, which is matched with its case."""

_SHOWN = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/x-icon", "audio/", "video/", "application/ogg")
_SHOWN_TEXTS = ("text/plain", "text/html", "application/json")

POLICY = (
    "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'; base-uri 'none'"
)
"""What a user's file may do when it is opened as a page: show itself. Never run scripts on this origin."""


@dataclass(frozen=True)
class _Place:
    """A file that was asked for: a folder, and a cleaned path below it."""

    root: Path
    relative: str


@page("/View/{path:path}", methods=("GET",), access=Access.OWN_CHECK)
async def view(state: AppState, request: Request) -> Response:
    """A file from an output folder: `/View/<user id>/<path>`. `?preview=true` asks for a small version."""
    return await _serve(state, request, prefix="/View/", names_owner=state.outputs.append_user)


@page("/Output/{path:path}", methods=("GET",), access=Access.OWN_CHECK)
async def output(state: AppState, request: Request) -> Response:
    """The older address of the same files: `/Output/<path>` in the caller's own folder."""
    return await _serve(state, request, prefix="/Output/", names_owner=False)


@page("/View", methods=("GET",))
async def bare_view(state: AppState, request: Request) -> Response:
    """No file: the address needs a path."""
    raise BadInput(_BAD_PREFIX, error_id="bad_path")


@page("/Output", methods=("GET",))
async def bare_output(state: AppState, request: Request) -> Response:
    """No file: the address needs a path."""
    raise BadInput(_BAD_PREFIX, error_id="bad_path")


async def _serve(state: AppState, request: Request, *, prefix: str, names_owner: bool) -> Response:
    path = _path_of(request)
    if not path.startswith(prefix):
        raise BadInput(_BAD_PREFIX, error_id="bad_path")
    user = await page_user(state, request)
    if user is None:
        raise BadInput("invalid or unauthorized", error_id="invalid_user")
    place = _place(state, user, unquote(path.removeprefix(prefix)), names_owner=names_owner)
    if _wants_preview(request) and user.settings.image_history_use_previews:
        moving = request.query_params.get("noanim") != "true" and state.settings.ui.allow_animated_previews
        small = await _preview(state, place, moving=moving)
        if small is not None:
            return _small_response(state, small)
    try:
        return await to_thread(_open, state, place, request.headers.get("range"))
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(_NO_SUCH_FILE, error_id="file_not_found") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # an owner's name that no folder can have
            raise NotFound(_NO_SUCH_FILE, error_id="file_not_found") from None
        return unreadable()


def _path_of(request: Request) -> str:
    """The path as the server decoded it, below the prefix of a proxy if there is one."""
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", ""))


def _place(state: AppState, user: User, path: str, *, names_owner: bool) -> _Place:
    """Whose folder, and where in it. Raises BadInput before anything is looked up on disk."""
    owner = user.id
    if names_owner:
        owner, _, path = path.replace("\\", "/").partition("/")
        if owner != user.id and not user.permits(VIEW_OTHERS_OUTPUTS):
            raise BadInput("unauthorized - you may not view other users' outputs", error_id="unauthorized")
    relative = clean_output_path(path)
    if is_too_long(relative):
        raise NotFound(_NO_SUCH_FILE, error_id="file_not_found")
    under(state.outputs.user_root(owner), relative)
    if is_hidden(relative):
        raise NotFound(_NO_SUCH_FILE, error_id="file_not_found")
    return _Place(state.outputs.user_root(owner), relative)


def _wants_preview(request: Request) -> bool:
    return request.query_params.get("preview") == "true"


async def _preview(state: AppState, place: _Place, *, moving: bool) -> Preview | None:
    """The small version; None when the file is missing or cannot have one, and is then answered in full."""
    previews = state.history.previews
    path = under(place.root, place.relative)
    try:
        known = await to_thread(previews.find, path, moving=moving)
        return known or await to_thread_limited(
            previews.makers, lambda: previews.make(path, metadata_of(path), moving=moving)
        )
    except OSError:
        return None


def _small_response(state: AppState, small: Preview) -> Response:
    seconds = state.settings.network.output_cache_seconds
    headers = {"Cache-Control": f"private, max-age={seconds}", "Content-Security-Policy": POLICY}
    return Response(small.data, media_type=small.mime, headers=headers)


def _open(state: AppState, place: _Place, wanted: str | None) -> Response:
    """The opened file as a response. Raises OSError."""
    file = open_under(place.root, place.relative)
    return OpenFileResponse(file, _size(file), wanted, _headers(state, place.relative))


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _headers(state: AppState, relative: str) -> dict[str, str]:
    kind = content_type(relative)
    brief = kind.startswith(("application/", "text/"))
    seconds = 2 if brief else state.settings.network.output_cache_seconds
    headers = {
        "Content-Type": kind,
        "Cache-Control": f"private, max-age={seconds}",
        "Content-Security-Policy": POLICY,
    }
    if not kind.startswith(_SHOWN) and kind not in _SHOWN_TEXTS:
        headers["Content-Disposition"] = "attachment"
    return headers


def content_type(relative: str) -> str:
    """What a file is sent as, by its extension."""
    return _TYPES.get(relative.rpartition(".")[2], "application/octet-stream")


def unreadable() -> Response:
    """The answer for what is there but cannot be read, folders included."""
    body = {
        "error": "Error reading file. If you are the server owner, check program console log.",
        "error_id": "file_error",
    }
    return Response(dumps(body), status_code=500, media_type="application/json", headers={"Cache-Control": "no-store"})
