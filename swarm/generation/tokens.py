"""What the tokens of an output path template stand for (swarm-t2i 6.1). Reads values; making the path is naming's."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from swarm.accounts.user import User
from swarm.base.ids import clean_id
from swarm.base.json import JsonObject
from swarm.catalog.model import ModelEntry
from swarm.catalog.sets import LEGACY, NATIVE, extension, stem
from swarm.features.core import CFG_SCALE, MODEL, NEGATIVE_PROMPT, PROMPT, SEED, STEPS
from swarm.features.lora import LORAS
from swarm.features.resolution import resolved_size
from swarm.generation.plan import Moment
from swarm.outputs.naming import hash_token, time_tokens
from swarm.params.input import GenerationInput
from swarm.params.kinds import Model
from swarm.params.registry import ParamRegistry


def path_tokens(
    input: GenerationInput,
    params: ParamRegistry,
    *,
    user: User,
    moment: Moment,
    index: int,
    models: Sequence[tuple[str, ModelEntry]],
    extra: JsonObject = MappingProxyType({}),
) -> dict[str, str]:
    """Text by token: every parameter by id (empty when unset), extra metadata, times, and the template's own words.

    `extra`: what metadata records about this picture beyond what the request brought along.
    """
    tokens = dict.fromkeys((param.id for param in params.params.values()), "")
    tokens.update({id: _text(_shown(value, id, params)) for id, value in input.values.items()})
    tokens.update({clean_id(key): _text(value) for key, value in {**input.extra, **extra}.items()})
    tokens.update(time_tokens(moment.time))
    tokens.update(_own_words(input, user, models))
    tokens["request_time_inc"] = f"{moment.count:03}"
    tokens["batch_id"] = str(index)
    return tokens


def _own_words(input: GenerationInput, user: User, models: Sequence[tuple[str, ModelEntry]]) -> dict[str, str]:
    width, height = resolved_size(input)
    model = _bare(input.get(MODEL)) or "unknown"
    if user.settings.out_path_builder.model_paths_skip_folders:
        model = model.rsplit("/", 1)[-1]
    loras = input.get(LORAS)
    title = next((entry.info.title for param, entry in models if param == MODEL.id), None)
    return {
        "prompt": input.get(PROMPT),
        "negative_prompt": input.get(NEGATIVE_PROMPT),
        "prompthash": hash_token(input.get(PROMPT)),
        "negativeprompthash": hash_token(input.get(NEGATIVE_PROMPT)),
        "seed": str(input.get(SEED)),
        "steps": str(input.get(STEPS)),
        "cfg_scale": _text(input.get(CFG_SCALE)),
        "width": str(width),
        "height": str(height),
        "model": model,
        "model_title": title or "unknown",
        "loras": "-".join(loras),
        "user_name": user.id,
    }


def _shown(value: object, id: str, params: ParamRegistry) -> object:
    """A parameter's value as names of files show it: models without their extension."""
    return _bare(value) if isinstance(value, str) and isinstance(params.params.get(id), Model) else value


def _bare(name: str) -> str:
    return stem(name) if extension(name).lower() in NATIVE + LEGACY else name


def _text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.10g}"
        case tuple() | list():
            return "-".join(map(_text, value))
        case str():
            return value
        case int():
            return str(value)
        case _:
            return ""
