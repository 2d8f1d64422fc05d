"""From a header and its sidecars to what people read about a model (swarm-models-backends 1.4). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from swarm.architectures.architecture import Architecture
from swarm.architectures.header import Header
from swarm.base.errors import BadInput
from swarm.base.json import loads
from swarm.catalog.model import ModelInfo
from swarm.catalog.sets import extension, stem

Fields = Mapping[str, Any]

_MAX_TEXT = 4096
_MAX_LONG = 4 * 1024 * 1024
_MAX_PREVIEW = 8 * 1024 * 1024
_MAX_TAGS = 128
_MAX_NESTING = 8
_RESOLUTION = re.compile(r"\s*(\d{1,6})\s*x\s*(\d{1,6})\s*")
_FORMAT_ENDINGS = {
    ".scale_weight": "fp8_scaled",
    ".weight_scale": "fp8_scaled",
    ".wscales": "nunchaku",
    ".wtscale": "nunchaku-fp4",
}
_FORMAT_PARTS = {"bitsandbytes__nf4": "bnb_nf4", "bitsandbytes__fp4": "bnb_fp4"}


def merged(header: Header, sidecars: Sequence[Fields]) -> dict[str, Any]:
    """The header's metadata, overridden by each sidecar in turn."""
    fields: dict[str, Any] = dict(header.metadata)
    for sidecar in sidecars:
        fields |= sidecar
    return fields


def describe(
    header: Header, fields: Fields, sidecars: Sequence[Fields], architecture: Architecture | None
) -> ModelInfo:
    """`fields`: the merged map. Texts are cut at their limits, the cut shown as `...`."""
    sources = [fields, *sidecars]
    width, height = _size(fields, architecture)
    return ModelInfo(
        title=_text(fields, "title", fallback=_alt_name(sources) or _file_title(header)),
        author=_text(fields, "author"),
        description=_text(fields, "description", limit=_MAX_LONG, fallback=_alt_description(sources)),
        width=width,
        height=height,
        license=_text(fields, "license"),
        date=_text(fields, "date"),
        prediction_type=_text(fields, "prediction_type"),
        usage_hint=_text(fields, "usage_hint", limit=40960),
        trigger_phrase=_trigger_phrase(fields, sources),
        merged_from=_text(fields, "merged_from", limit=81920),
        tags=_tags(fields.get("modelspec.tags")),
        is_negative_embedding=(_text(fields, "is_negative_embedding") or "").lower() == "true",
        lora_default_weight=_text(fields, "lora_default_weight") or "",
        lora_default_confinement=_text(fields, "lora_default_confinement") or "",
        hash=_text(fields, "hash_sha256") or "",
        special_format=_text(fields, "special_format") or _special_format(header),
        preview=embedded_preview(fields) is not None,
    )


def _file_title(header: Header) -> str:
    """The file's name; of a Nunchaku folder, whose files are all called the same, the folder's."""
    folder, _, name = header.name.rpartition("/")
    is_part = name == "transformer_blocks.safetensors" and _special_format(header).startswith("nunchaku")
    return folder.rpartition("/")[2] if is_part and folder else stem(name)


def embedded_preview(fields: Fields) -> str | None:
    """The picture inside the metadata as a `data:image/…` URL; None when there is none, or it is too large."""
    keys = ("modelspec.preview_image", "modelspec.thumbnail", "thumbnail", "preview_image")
    said = next((fields[key] for key in keys if isinstance(fields.get(key), str) and fields[key].strip()), "")
    return said if said.startswith("data:image/") and len(said) <= _MAX_PREVIEW else None


def _text(fields: Fields, key: str, *, limit: int = _MAX_TEXT, fallback: str | None = None) -> str | None:
    """The first value of `modelspec.key` and `key` that is not blank, else the fallback; an empty text stays empty."""
    said = [str(fields[name]) for name in (f"modelspec.{key}", key) if isinstance(fields.get(name), str | int | float)]
    value = next((text for text in said if text.strip()), None) or fallback or next(iter(said), None)
    return _cut(value, limit) if value is not None else None


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _size(fields: Fields, architecture: Architecture | None) -> tuple[int, int]:
    match = _RESOLUTION.fullmatch(_text(fields, "resolution") or "")
    if match:
        return int(match[1]), int(match[2])
    width, height = (_number(_text(fields, key)) for key in ("standard_width", "standard_height"))
    if architecture is not None:
        return width or architecture.standard_width, height or architecture.standard_height
    return width, height


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 7 else 0


def _tags(said: Any) -> tuple[str, ...] | None:
    if isinstance(said, str):
        said = said.split(",")
    if not isinstance(said, list):
        return None
    return tuple(tag.strip() for tag in said if isinstance(tag, str) and tag.strip())[:_MAX_TAGS]


def _alt_name(sources: Sequence[Fields]) -> str | None:
    for source in sources:
        model = source.get("model")
        nested = model.get("name") if isinstance(model, dict) else None
        for value in (nested, *(source.get(key) for key in ("UserTitle", "ModelName", "name"))):
            if isinstance(value, str) and value.strip():
                return value
    return None


def _alt_description(sources: Sequence[Fields]) -> str | None:
    """All that other tools wrote; text that a sidecar repeats is said once."""
    keys = ("VersionName", "VersionDescription", "ModelDescription", "description")
    texts = [source[key] for source in sources for key in keys if isinstance(source.get(key), str) and source[key]]
    return "".join(f"{text}\n" for text in dict.fromkeys(texts)) or None


def _trigger_phrase(fields: Fields, sources: Sequence[Fields]) -> str | None:
    """An explicit phrase, even an empty one, wins over what training tools left behind."""
    if any(isinstance(fields.get(key), str) for key in ("modelspec.trigger_phrase", "trigger_phrase")):
        return _text(fields, "trigger_phrase", limit=40960)
    for source in sources:
        for key in ("TrainedWords", "trainedWords", "ss_tag_frequency"):
            words = list(dict.fromkeys(_words(source.get(key))))
            if words:
                return _cut(", ".join(words), 40960)
    said = next(
        (source["activation text"] for source in sources if isinstance(source.get("activation text"), str)), None
    )
    return _cut(said, 40960) if said else None


def _words(value: Any, depth: int = 0) -> Iterable[str]:
    """The words in a list, a text (JSON or comma-separated), or the keys of nested objects."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = _parsed(value)
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, list):
        yield from (word.strip() for word in value if isinstance(word, str) and word.strip())
    elif isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict) and depth < _MAX_NESTING:
                yield from _words(inner, depth + 1)
            elif key.strip():
                yield key.strip()


def _parsed(text: str) -> Any:
    try:
        return loads(text)
    except BadInput:
        return None


def _special_format(header: Header) -> str:
    if extension(header.name) == "gguf":
        return "gguf"
    endings = tuple(_FORMAT_ENDINGS)
    for key in header.tensors:
        if key.endswith(endings):
            return next(label for ending, label in _FORMAT_ENDINGS.items() if key.endswith(ending))
        if "bitsandbytes__" in key:
            return next((label for part, label in _FORMAT_PARTS.items() if part in key), "")
    return ""
