"""Pictures of models, /ViewSpecial/<model set>/<name> (swarm-core 8.5)."""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from swarm.base.errors import NotFound, NotPermitted
from swarm.base.tasks import to_thread
from swarm.state import AppState
from swarm.web.auth import page_user
from swarm.web.page import page


@page("/ViewSpecial/{path:path}", methods=("GET",))
async def view_special(state: AppState, request: Request) -> Response:
    """The preview picture of a model, by model set and name, with or without `.safetensors`."""
    if page_user(state, request) is None:
        raise NotPermitted("invalid or unauthorized", error_id="invalid_user")
    path = re.sub("/{2,}", "/", unquote(request.path_params["path"]).replace("\\", "/")).strip("/")
    subtype, _, name = path.partition("/")
    entry = state.catalog.find(subtype, name)
    picture = await to_thread(state.catalog.preview, entry) if entry is not None else None
    if picture is None:
        raise NotFound("404, file not found.", error_id="file_not_found")
    headers = {"Cache-Control": "private, max-age=2", "X-Content-Type-Options": "nosniff"}
    return Response(picture.data, media_type=picture.mime, headers=headers)
