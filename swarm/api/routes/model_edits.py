"""Models: saying things about them, looking inside, renaming and deleting (swarm-models-backends 1.7)."""

from __future__ import annotations

from dataclasses import replace

from swarm.access.permissions import DELETE_MODELS, EDIT_MODEL_METADATA
from swarm.api.route import Call, route
from swarm.api.routes.wildcards import CLEAR, given_picture
from swarm.api.shapes import ANY, SUCCESS, Map, Null
from swarm.base.data_url import make_data_url
from swarm.base.errors import BadInput, NotFound
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread, to_thread_limited
from swarm.catalog.edit import ModelEdit
from swarm.catalog.sets import CHECKPOINTS
from swarm.media.formats import thumbnail


@route("EditModelMetadata", permission=EDIT_MODEL_METADATA, answers=SUCCESS)
async def edit_model_metadata(
    call: Call,
    model: str,
    title: str,
    author: str,
    type: str,
    description: str,
    standard_width: int,
    standard_height: int,
    usage_hint: str,
    date: str,
    license: str,
    trigger_phrase: str,
    prediction_type: str,
    tags: str,
    preview_image: str | None = None,
    preview_image_metadata: str | None = None,
    is_negative_embedding: bool = False,
    lora_default_weight: str = "",
    lora_default_confinement: str = "",
    subtype: str = CHECKPOINTS,
) -> JsonObject:
    """Write what is said about a model into `<model>.swarm.json` beside it: `{"success": true}`.

    `model`: with its extension. `type`: a model class; blank leaves it, an unknown one clears it. `tags`: with commas.
    `preview_image`: a data URL, or `clear`.
    """
    _check(call, subtype, model)
    preview = await to_thread(_small, preview_image, preview_image_metadata)
    words = tuple(tag.strip() for tag in tags.split(",") if tag.strip())
    change = ModelEdit(title=title, author=author, type=type, description=description, usage_hint=usage_hint)
    change = replace(change, date=date, license=license, trigger_phrase=trigger_phrase, prediction_type=prediction_type)
    change = replace(change, width=standard_width, height=standard_height, tags=words)
    change = replace(change, preview="" if preview_image == CLEAR else preview)
    change = replace(change, is_negative_embedding=is_negative_embedding, lora_default_weight=lora_default_weight)
    change = replace(change, lora_default_confinement=lora_default_confinement)
    await to_thread(call.state.editor.edit, subtype, model, change)
    return {"success": True}


@route("GetModelHeaders", permission=EDIT_MODEL_METADATA, answers={"headers": Map(ANY)})
async def get_model_headers(call: Call, model: str, subtype: str = CHECKPOINTS) -> JsonObject:
    """The header of a model file, `__metadata__` included: `{"headers": {…}}`. `model`: with its extension."""
    _check(call, subtype, model)
    return {"headers": await to_thread(call.state.editor.headers, subtype, model)}


@route("GetModelHash", permission=EDIT_MODEL_METADATA, answers={"hash": Null(str)})
async def get_model_hash(call: Call, modelName: str, subtype: str = CHECKPOINTS) -> JsonObject:
    """The SHA-256 of a model's tensors, computed if it is not known: `{"hash": "0x…"}`, null for formats without."""
    _check(call, subtype, modelName)
    entry = call.state.catalog.find(subtype, modelName)
    if entry is None:
        raise NotFound("Model not found.")
    catalog = call.state.catalog
    if catalog.must_be_hashed(entry):
        await to_thread_limited(catalog.hashers, lambda: catalog.model_hash(entry))
    return {"hash": catalog.known_hash(entry)}


@route("DeleteModel", permission=DELETE_MODELS, answers=SUCCESS)
async def delete_model(call: Call, modelName: str, subtype: str = CHECKPOINTS) -> JsonObject:
    """Move a model, its sidecars and previews to the trash folder: `{"success": true}`."""
    _check(call, subtype, modelName)
    await to_thread(call.state.editor.delete, subtype, modelName)
    return {"success": True}


@route("RenameModel", permission=DELETE_MODELS, answers=SUCCESS)
async def rename_model(call: Call, oldName: str, newName: str, subtype: str = CHECKPOINTS) -> JsonObject:
    """Rename a model, its sidecars and previews; `newName` may name another sub-folder: `{"success": true}`."""
    _check(call, subtype, oldName)
    await to_thread(call.state.editor.rename, subtype, oldName, newName)
    return {"success": True}


def _check(call: Call, subtype: str, name: str) -> None:
    """Raises BadInput, and NotFound for a model that the caller may not see, as for one that is not there."""
    if subtype not in call.state.catalog.sets():
        raise BadInput("Invalid sub-type.")
    if not name.strip():
        raise BadInput("Invalid empty name.")
    entry = call.state.catalog.find(subtype, name)
    if not call.caller.user.permits_model(name if entry is None else entry.name):
        raise NotFound("Model not found.")


def _small(text: str | None, metadata: str | None) -> str | None:
    """A preview as it is kept: decoded, made small, encoded anew. Raises BadInput when it is no picture."""
    picture = given_picture(text)
    if picture is None:
        return None
    return make_data_url("image/jpeg", thumbnail(picture[1], metadata=metadata or None))
