"""Wildcard lists: writing, deleting, and trying a prompt out (swarm-models-backends 1.7)."""

from __future__ import annotations

from swarm.access.permissions import EDIT_WILDCARDS, FUNDAMENTAL_MODEL_ACCESS
from swarm.api.route import Call, route
from swarm.api.shapes import SUCCESS
from swarm.base.data_url import parse_data_url
from swarm.base.errors import BadInput, NotFound
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread
from swarm.catalog.wire import PLACEHOLDER

CLEAR = "clear"


def given_picture(text: str | None) -> tuple[str, bytes] | None:
    """(mime, bytes) of a preview that came as a data URL; None for none, for the word that removes one, and for what
    lists say of a preview: programs send it back with the rest.

    Raises BadInput for anything else.
    """
    if not text or text in (CLEAR, PLACEHOLDER) or text.startswith("/ViewSpecial/"):
        return None
    mime, data = parse_data_url(text)
    if not mime.startswith("image/"):
        raise BadInput("The preview is not a picture.")
    return mime, data


@route("EditWildcard", permission=EDIT_WILDCARDS, answers=SUCCESS)
async def edit_wildcard(
    call: Call,
    card: str,
    options: str,
    preview_image: str | None = None,
    preview_image_metadata: str | None = None,
) -> JsonObject:
    """Write a wildcard list, new or not: `{"success": true}`.

    `options`: one per line; what follows a `#` is a comment. `preview_image`: a data URL, or `clear`.
    """
    _check(call, card)
    picture = given_picture(preview_image)
    await to_thread(
        call.state.wildcards.edit,
        card,
        options,
        picture=picture[1] if picture is not None else None,
        clear=preview_image == CLEAR,
        note=preview_image_metadata or "",
    )
    return {"success": True}


@route("DeleteWildcard", permission=EDIT_WILDCARDS, answers=SUCCESS)
async def delete_wildcard(call: Call, card: str) -> JsonObject:
    """Move a wildcard list and its picture to the trash folder: `{"success": true}`."""
    if not card.strip():
        raise BadInput("Invalid empty name.")
    _check(call, card)
    await to_thread(call.state.wildcards.delete, card)
    return {"success": True}


@route("TestPromptFill", permission=FUNDAMENTAL_MODEL_ACCESS, answers={"result": str})
async def test_prompt_fill(call: Call, prompt: str) -> JsonObject:
    """Resolve the tags of a prompt with a random seed, as a picture's would be: `{"result": text}`."""
    return {"result": await to_thread(call.state.generation.fill_prompt, prompt, call.caller.user)}


def _check(call: Call, card: str) -> None:
    """Raises NotFound for a list that the caller may not see."""
    if not call.caller.user.permits_model(card.strip("/ ")):
        raise NotFound("Model not found.")
