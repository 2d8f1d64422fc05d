"""Pictures of models, wildcards and presets, /ViewSpecial/<model set, Wildcards or Preset>/<name> (swarm-core 8.5)."""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from swarm.accounts.user import User
from swarm.base.data_url import parse_data_url
from swarm.base.errors import NotFound, NotPermitted
from swarm.base.tasks import to_thread
from swarm.catalog.wildcards import SUBTYPE as WILDCARDS
from swarm.media.image import Picture
from swarm.state import AppState
from swarm.web.auth import page_user
from swarm.web.page import Access, page


@page("/ViewSpecial/{path:path}", methods=("GET",), access=Access.OWN_CHECK)
async def view_special(state: AppState, request: Request) -> Response:
    """The picture of a model, by set and name (`.safetensors` or not), a a wildcard list, or the caller's preset."""
    user = await page_user(state, request)
    if user is None:
        raise NotPermitted("invalid or unauthorized", error_id="invalid_user")
    path = re.sub("/{2,}", "/", unquote(request.path_params["path"]).replace("\\", "/")).strip("/")
    subtype, _, name = path.partition("/")
    picture = await to_thread(_preset if subtype == "Preset" else _model, state, user, subtype, name)
    if picture is None:
        raise NotFound("404, file not found.", error_id="file_not_found")
    headers = {"Cache-Control": "private, max-age=2", "X-Content-Type-Options": "nosniff"}
    return Response(picture.data, media_type=picture.mime, headers=headers)


def _model(state: AppState, user: User, subtype: str, name: str) -> Picture | None:
    if subtype == WILDCARDS:
        wildcard = state.wildcards.get(name)
        return state.wildcards.preview(wildcard) if wildcard and user.permits_model(wildcard.name) else None
    entry = state.catalog.find(subtype, name)
    return state.catalog.preview(entry) if entry is not None and user.permits_model(entry.name) else None


def _preset(state: AppState, user: User, subtype: str, name: str) -> Picture | None:
    url = state.presets.preview(user.id, name)
    if url is None:
        return None
    mime, data = parse_data_url(url)
    return Picture(data=data, mime=mime)
