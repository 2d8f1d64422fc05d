"""What a picture's file says about how it was made: GenerationInput and extras as `sui_image_params` text, and back.

Pure. The text is JSON with two-space indent and all non-ASCII letters escaped (swarm-t2i 6.4), so any carrier can take
it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from swarm.base.errors import BadInput
from swarm.base.json import Json, JsonObject, loads
from swarm.params.input import GenerationInput
from swarm.params.param import Omitted
from swarm.params.registry import ParamRegistry
from swarm.params.request import SECTION_PARAMS

PARAMS_KEY, EXTRA_KEY, MODELS_KEY = "sui_image_params", "sui_extra_data", "sui_models"
VERSION_KEY = "swarm_version"
_PROMPT, _NEGATIVE_PROMPT = "prompt", "negativeprompt"
_NOT_IN_PREVIEWS = frozenset({"donotsave", "exactbackendid"})
_PREVIEW_NOTE: Mapping[str, Json] = {"is_preview": True, "preview_notice": "Image is not done generating"}


def metadata_text(
    input: GenerationInput,
    params: ParamRegistry,
    *,
    extra: JsonObject,
    models: Sequence[JsonObject],
    version: str,
    unused: Collection[str] = (),
) -> str:
    """The metadata text of a finished picture.

    `extra`: facts of this picture (date, times); they join `input.extra`. `models`: the `sui_models` entries, left out
    when empty. `unused`: ids of parameters the backend never read; they are named as such instead of recorded.
    """
    idle = [id for id in input if id in unused and not _intends_no_use(id, params)]
    recorded = _recorded(input, params, without=frozenset(idle))
    notes = _notes(input, extra)
    if idle:
        notes["unused_parameters"] = list(idle)
    return _written({**recorded, VERSION_KEY: version}, notes, models)


def preview_metadata_text(
    input: GenerationInput,
    params: ParamRegistry,
    *,
    extra: JsonObject,
    models: Sequence[JsonObject],
    version: str,
) -> str:
    """The metadata text of a picture that is still being made (swarm-t2i 4.3)."""
    recorded = _recorded(input, params, without=_NOT_IN_PREVIEWS)
    return _written({**recorded, **_PREVIEW_NOTE, VERSION_KEY: version}, _notes(input, extra), models)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What metadata text says. `params` can be sent as a request again; `version` is the writing server's."""

    params: Mapping[str, Json]
    extra: Mapping[str, Json] = field(default_factory=dict)
    models: tuple[JsonObject, ...] = ()
    version: str | None = None


def parse_metadata(text: str) -> Recorded:
    """Read metadata text, also of older servers. Raises BadInput when it is not of this kind.

    Values are as they were written (`parse_request` accepts numbers as text and lists as text with commas).
    """
    body = loads(text)
    if not isinstance(body, Mapping) or not isinstance(params := body.get(PARAMS_KEY), Mapping):
        raise BadInput("This metadata does not say how the picture was made.")
    models = body.get(MODELS_KEY)
    extra = body.get(EXTRA_KEY)
    version = params.get(VERSION_KEY)
    return Recorded(
        params={key: value for key, value in params.items() if key != VERSION_KEY and key not in _PREVIEW_NOTE},
        extra=dict(extra) if isinstance(extra, Mapping) else {},
        models=tuple(entry for entry in models if isinstance(entry, Mapping)) if isinstance(models, list) else (),
        version=version if isinstance(version, str) else None,
    )


def _recorded(input: GenerationInput, params: ParamRegistry, *, without: Collection[str]) -> dict[str, Json]:
    """One key per parameter in the order given; the negative prompt always, behind the prompt if it was not given."""
    recorded: dict[str, Json] = {}
    for id, value in input.values.items():
        param = params.params.get(id)
        if param is None or param.hide_from_metadata or id in without:
            continue
        written = param.to_json(value)
        if not isinstance(written, Omitted):
            recorded[id] = written
        if id == _PROMPT and _NEGATIVE_PROMPT not in input.values:
            recorded[_NEGATIVE_PROMPT] = ""
    recorded.setdefault(_NEGATIVE_PROMPT, "")
    if input.sections:
        recorded[SECTION_PARAMS] = {str(id): _own(values, params) for id, values in input.sections.items()}
    return recorded


def _own(values: Mapping[str, object], params: ParamRegistry) -> JsonObject:
    """What one section of the prompt sets for itself."""
    written = {id: params.params[id].to_json(value) for id, value in values.items() if id in params.params}
    return {id: value for id, value in written.items() if not isinstance(value, Omitted)}


def _intends_no_use(id: str, params: ParamRegistry) -> bool:
    param = params.params.get(id)
    return param is not None and param.intentional_unused


def _notes(input: GenerationInput, extra: JsonObject) -> dict[str, Json]:
    """The date first, then what the request brought along, then the facts of this picture."""
    date = {"date": extra["date"]} if "date" in extra else {}
    return {**date, **input.extra, **extra}


def _written(params: JsonObject, extra: JsonObject, models: Sequence[JsonObject]) -> str:
    body: dict[str, Json] = {PARAMS_KEY: params, EXTRA_KEY: extra}
    if models:
        body[MODELS_KEY] = list(models)
    return json.dumps(body, indent=2, ensure_ascii=True, default=_plain)


def _plain(value: object) -> object:
    """Read-only mappings and other sequences, which the JSON writer does not know."""
    return dict(value) if isinstance(value, Mapping) else list(value)  # type: ignore[call-overload]
