"""A model as clients read it: exactly these keys, in this order (swarm-models-backends 1.6)."""

from __future__ import annotations

from urllib.parse import quote

from swarm.base.data_url import make_data_url
from swarm.base.json import Json
from swarm.catalog.model import ModelEntry
from swarm.catalog.sets import LEGACY, NO_MODEL, extension
from swarm.catalog.wildcards import Wildcard
from swarm.media.image import Picture

PLACEHOLDER = "imgs/model_placeholder.jpg"
LEGACY_PLACEHOLDER = "imgs/legacy_ckpt.jpg"
_SHOWN_TEXT = 512


def preview_url(entry: ModelEntry, edit_id: int = 0) -> str:
    """Where the browser gets the model's picture."""
    if not entry.info.preview and entry.preview_file is None:
        return stand_in(entry)
    return f"/ViewSpecial/{entry.subtype}/{quote(entry.name)}?editid={edit_id}"


def stand_in(entry: ModelEntry) -> str:
    """What is shown of a model without a picture."""
    return LEGACY_PLACEHOLDER if extension(entry.name) in LEGACY and not entry.is_folder else PLACEHOLDER


def card_preview_url(wildcard: Wildcard, edit_id: int) -> str:
    return f"/ViewSpecial/Wildcards/{quote(wildcard.name)}?editid={edit_id}" if wildcard.has_preview else PLACEHOLDER


def card_object(wildcard: Wildcard, *, image: str, cut: bool) -> dict[str, Json]:
    """A wildcard list; lists of lists show only the beginning of each text."""
    raw = wildcard.raw
    if cut and len(raw) > _SHOWN_TEXT:
        raw = raw[:_SHOWN_TEXT] + "..."
    return {"name": wildcard.name, "raw": raw, "image": image}


def preview_data(picture: Picture | None, instead: str = PLACEHOLDER) -> str:
    """The picture itself, for answers that must stand alone; `instead` where there is none."""
    return make_data_url(picture.mime, picture.data) if picture is not None else instead


def model_object(entry: ModelEntry, *, preview: str, loaded: bool, hash: str | None) -> dict[str, Json]:
    """`preview`: from one of the functions above. `loaded`: whether a backend has it ready.

    A file that cannot be used says why where its description would be.
    """
    info, family = entry.info, entry.architecture
    return {
        "name": entry.name,
        "title": info.title,
        "author": info.author,
        "description": info.description or entry.problem,
        "preview_image": preview,
        "loaded": loaded,
        "architecture": family.id if family is not None else None,
        "class": family.name if family is not None else None,
        "compat_class": family.compat.id if family is not None else None,
        "resolution": f"{info.width}x{info.height}",
        "standard_width": entry.width,
        "standard_height": entry.height,
        "license": info.license,
        "date": info.date,
        "prediction_type": info.prediction_type,
        "usage_hint": info.usage_hint,
        "trigger_phrase": info.trigger_phrase,
        "merged_from": info.merged_from,
        "tags": list(info.tags) if info.tags is not None else None,
        "is_supported_model_format": entry.is_native and entry.problem is None,
        "is_negative_embedding": info.is_negative_embedding,
        "lora_default_weight": info.lora_default_weight,
        "lora_default_confinement": info.lora_default_confinement,
        "local": not entry.is_remote,
        "time_created": entry.created_ns // 1_000_000,
        "time_modified": entry.mtime_ns // 1_000_000,
        "hash": hash or "",
        "hash_sha256": hash or "",
        "special_format": info.special_format,
    }


def no_model_object() -> dict[str, Json]:
    """What DescribeModel says about the pseudo model `(None)`."""
    return {
        "name": NO_MODEL,
        "title": None,
        "author": None,
        "description": "No model selected.",
        "preview_image": PLACEHOLDER,
        "loaded": False,
        "architecture": None,
        "class": None,
        "compat_class": None,
        "resolution": "0x0",
        "standard_width": 0,
        "standard_height": 0,
        "license": None,
        "date": None,
        "prediction_type": None,
        "usage_hint": None,
        "trigger_phrase": None,
        "merged_from": None,
        "tags": None,
        "is_supported_model_format": True,
        "is_negative_embedding": False,
        "lora_default_weight": "",
        "lora_default_confinement": "",
        "local": True,
        "time_created": 0,
        "time_modified": 0,
        "hash": "",
        "hash_sha256": "",
        "special_format": "",
    }
