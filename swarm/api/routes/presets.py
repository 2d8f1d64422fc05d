"""Saved presets of the caller (swarm-core 5.8, 5.9). What they do to a request is in swarm.params.request."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from swarm.access.permissions import FUNDAMENTAL_GENERATE_TAB_ACCESS, MANAGE_PRESETS
from swarm.accounts.presets import PLACEHOLDER, Preset, PresetStore
from swarm.api.route import Call, route
from swarm.api.shapes import SUCCESS, Map, Shape
from swarm.base.data_url import make_data_url, parse_data_url
from swarm.base.errors import BadInput
from swarm.base.json import Json, JsonObject
from swarm.base.paths import clean_file_name
from swarm.base.tasks import to_thread
from swarm.media.formats import thumbnail
from swarm.params.request import refuse_deep, text_form

_JPEG = "data:image/jpeg;base64,"
_LONGEST_TITLE = 500
_LONGEST_DESCRIPTION = 100_000


def listed(preset: Preset, edit_id: int) -> JsonObject:
    """A preset as lists show it: a preview of its own becomes an address that changes with every edit."""
    own = f"/ViewSpecial/Preset/{preset.title}?editid={edit_id}"
    return preset.to_wire(own if preset.has_preview else PLACEHOLDER)


PRESET: Shape = {
    "author": str,
    "title": str,
    "description": str,
    "preview_image": str,
    "is_starred": bool,
    "param_map": Map(str),
}


@route("ExportUserPresets", permission=FUNDAMENTAL_GENERATE_TAB_ACCESS, answers={"presets": [PRESET]})
async def export_user_presets(call: Call) -> JsonObject:
    """The caller's presets with their previews inside. `titles`: a list of those that are wanted; all without it."""
    titles = call.body.get("titles")
    wanted = {title for title in titles if isinstance(title, str)} if isinstance(titles, list) else None
    return {"presets": await to_thread(_exported, call.state.presets, call.caller.user.id, wanted)}


def _exported(presets: PresetStore, user_id: str, wanted: set[str] | None) -> list[Json]:
    return [
        preset.to_wire(presets.preview(user_id, preset.title) or PLACEHOLDER)
        for preset in presets.of_user(user_id)
        if wanted is None or preset.title in wanted
    ]


@route("AddNewPreset", permission=MANAGE_PRESETS, touches=True, answers=SUCCESS)
async def add_new_preset(
    call: Call,
    title: str,
    description: str,
    preview_image: str = "",
    preview_image_metadata: str | None = None,
    is_edit: bool = False,
    editing: str = "",
    is_starred: bool = False,
) -> JsonObject:
    """Save a preset. The object `param_map` holds its parameters: id to value.

    `is_edit`: it takes the place of the preset `editing`, or of that of its title. `preview_image`: a JPEG as a data
    URL, which is made small; without one the preset keeps the one it has. `preview_image_metadata` is put into it.
    """
    presets, user_id = call.state.presets, call.caller.user.id
    preset = Preset(
        author=user_id,
        title=clean_file_name(title),
        description=description,
        params=_texts(call.body.get("param_map")),
        is_starred=is_starred,
    )
    if not preset.title or len(preset.title) > _LONGEST_TITLE:
        return {"preset_fail": "Invalid or empty title."}
    if len(description) > _LONGEST_DESCRIPTION:
        return {"preset_fail": f"The description is too long: at most {_LONGEST_DESCRIPTION} letters."}
    if not is_edit and presets.find(user_id, preset.title) is not None:
        return {"preset_fail": "A preset with that title already exists."}
    if _is_forbidden(preview_image):
        return {"preset_fail": "Forbidden preview-image path."}
    before = (editing or preset.title) if is_edit else None
    preview = await to_thread(_preview, presets, user_id, before, preview_image, preview_image_metadata)
    await to_thread(presets.save, preset, preview, instead_of=before)
    return {"success": True}


def _keeps(preview_image: str) -> bool:
    """Whether the preset keeps the preview it has."""
    return not preview_image.strip() or preview_image.startswith("/ViewSpecial/")


def _is_forbidden(preview_image: str) -> bool:
    if _keeps(preview_image) or preview_image == PLACEHOLDER:
        return False
    return "?" in preview_image or not preview_image.startswith(_JPEG)


def _preview(presets: PresetStore, user_id: str, before: str | None, image: str, metadata: str | None) -> str | None:
    """The preview to keep, as a data URL. `before`: the title of the preset that is edited."""
    if _keeps(image):
        return None if before is None else presets.preview(user_id, before)
    if image == PLACEHOLDER:
        return None
    _, data = parse_data_url(image)
    return make_data_url("image/jpeg", thumbnail(data, metadata=metadata or None))


def _texts(param_map: Json) -> dict[str, str]:
    if not isinstance(param_map, Mapping):
        raise BadInput("The object 'param_map' is missing.")
    refuse_deep(param_map)
    return {id: text_form(value) for id, value in param_map.items()}


@route("DuplicatePreset", permission=MANAGE_PRESETS, touches=True, answers=SUCCESS)
async def duplicate_preset(call: Call, preset: str) -> JsonObject:
    """Save a copy of a preset, as `<title> (2)` or with the next number that is free."""
    return await to_thread(_duplicate, call.state.presets, call.caller.user.id, preset)


def _duplicate(presets: PresetStore, user_id: str, title: str) -> JsonObject:
    known = presets.find(user_id, title)
    if known is None:
        return {"preset_fail": "No such preset."}
    titles = (f"{known.title} ({number})" for number in count(2))
    free = next(one for one in titles if presets.find(user_id, one) is None)
    copy = Preset(
        author=user_id,
        title=free,
        description=known.description,
        params=known.params,
        is_starred=known.is_starred,
    )
    presets.save(copy, presets.preview(user_id, known.title))
    return {"success": True}


@route("DeletePreset", permission=MANAGE_PRESETS, touches=True, answers=SUCCESS)
async def delete_preset(call: Call, preset: str) -> JsonObject:
    """Delete a preset. `success` is false when there was none."""
    return {"success": await to_thread(call.state.presets.remove, call.caller.user.id, preset)}
