"""Sounds for the page: /Audio/* (swarm-core 8.6)."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from swarm.base.errors import BadInput, NotFound
from swarm.base.paths import clean_output_path, is_hidden, is_too_long, open_under
from swarm.base.tasks import to_thread
from swarm.state import AppState
from swarm.web.auth import page_user
from swarm.web.files import POLICY, content_type, unreadable
from swarm.web.page import Access, page

_NO_SUCH_FILE = "404, file not found"


@page("/Audio/{path:path}", methods=("GET",), access=Access.OWN_CHECK)
async def audio(state: AppState, request: Request) -> Response:
    """A file from the folder `Audio` of the data, whole: the sounds that `audio.completionsound` chooses from."""
    if await page_user(state, request) is None:
        raise BadInput("invalid or unauthorized", error_id="invalid_user")
    relative = clean_output_path(unquote(request.path_params["path"]))
    if is_hidden(relative) or is_too_long(relative):
        raise NotFound(_NO_SUCH_FILE, error_id="file_not_found")
    try:
        data = await to_thread(_read, state, relative)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(_NO_SUCH_FILE, error_id="file_not_found") from None
    except OSError:
        return unreadable()
    return Response(data, headers={"Content-Type": content_type(relative), "Content-Security-Policy": POLICY})


def _read(state: AppState, relative: str) -> bytes:
    """Raises OSError."""
    with open_under(state.upkeep.sounds.folder, relative) as file:
        return file.read()
