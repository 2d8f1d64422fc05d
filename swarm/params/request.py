"""What a client sent, as a GenerationInput: the only reader of raw JSON for generation (swarm-t2i 3.1 to 3.8).

Reading a request may read files of the user (init images by path), so call it in a thread.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from swarm.access.permission import Permission
from swarm.base.errors import BadInput, NotPermitted
from swarm.base.json import Json, JsonObject, dumps
from swarm.params.choices import Choices
from swarm.params.input import GenerationInput
from swarm.params.kinds import LIST_SEPARATOR, Text
from swarm.params.numbers import number_text
from swarm.params.registry import AnyParam, ParamRegistry

PRIOR_VALUE = "{value}"
"""In an edited text: what the text was before (swarm-t2i 3.5)."""

DISREGARDED_FLAGS = frozenset({"sd3", "flux-dev", "text2video", "cascade", "sdxl", "text2audio"})
"""Flags of the page's own making; they never stand in a backend's way."""

SECTION_PARAMS = "sectionparams"
"""The key under which metadata keeps what sections of the prompt set for themselves: `{"1": {"steps": 5}}`."""

_NOT_PARAMS = frozenset({"session_id", "presets", "extra_metadata", SECTION_PARAMS})
_MAX_SECTIONS = 200
_SECTION_ID = re.compile(r"[0-9]{1,6}")
_MAX_DEPTH = 64
_MAX_VALUES = 100_000
_TRAILING_PART = re.compile(r"<(?:segment|object|region):", re.IGNORECASE)
_logger = logging.getLogger(__name__)


def parse_request(
    raw: JsonObject,
    *,
    params: ParamRegistry,
    choices: Choices,
    permits: Callable[[Permission], bool],
    presets: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> GenerationInput:
    """Every known key of `raw` applied in order, then the presets it names; unknown keys are logged and ignored.

    `presets`: the user's presets, title to parameter texts. Raises BadInput or NotPermitted with the wire's sentence.
    """
    refuse_deep(raw)
    input = GenerationInput(extra=MappingProxyType(_extra_metadata(raw.get("extra_metadata"))))
    texts = {key: text_form(value) for key, value in raw.items() if key not in _NOT_PARAMS}
    input = _apply_all(input, texts, params, choices, permits)
    input = _apply_sections(input, raw.get(SECTION_PARAMS), params, choices, permits)
    titles = raw.get("presets")
    if not isinstance(titles, list) or not titles:
        return input
    by_title = {title.lower(): texts for title, texts in presets.items()}
    for title in map(text_form, titles):
        if title.lower() in by_title:
            input = _apply_all(input, by_title[title.lower()], params, choices, permits)
        else:
            _logger.warning("A request names the unknown preset %.80r; it is ignored.", title)
    return input.noting("presets_used", [text_form(title) for title in titles])


def text_form(value: Json) -> str:
    """A JSON value as the text that parameters are parsed from (swarm-t2i 3.1)."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "True" if value else "False"
        case int():
            return str(value)
        case float():
            return number_text(value)
        case Mapping():
            return dumps(value).decode()
        case _:
            return LIST_SEPARATOR.join(map(text_form, value))


def apply(
    input: GenerationInput,
    param: AnyParam,
    text: str,
    choices: Choices,
    permits: Callable[[Permission], bool],
    *,
    section: int = 0,
) -> GenerationInput:
    """`input` after one parameter was given as `text` (swarm-t2i 3.2), for one section of the prompt only if the
    parameter knows sections. Raises BadInput or NotPermitted."""
    section = section if param.can_sectionalize else 0
    if text == param.ignore_if:
        return input.without(param, section=section)
    if param.permission is not None and not permits(param.permission):
        raise NotPermitted(f"You do not have permission to use parameter {param.name}.")
    if isinstance(param, Text):
        text = edited(text, input.get(param)) if param.edits else text
        text = param.clean(text) if param.clean else text
    try:
        value = param.parse(text, choices)
    except BadInput as error:
        raise BadInput(f"Invalid value for parameter {param.name}: {error.sentence}") from None
    if value is None:
        return input
    if param.ignore_if is not None and param.to_text(value) == param.ignore_if:
        return input.without(param, section=section)
    return input.having(param, value, section=section)


def edited(template: str, prior: str) -> str:
    """`template` with `{value}` replaced by `prior`; region parts of `prior` move behind the rest (swarm-t2i 3.5)."""
    if PRIOR_VALUE not in template:
        return template
    if cut := _TRAILING_PART.search(prior):
        head, tail = prior[: cut.start()].strip(), prior[cut.start() :].strip()
        return f"{template.replace(PRIOR_VALUE, head)} {tail}"
    return template.replace(PRIOR_VALUE, prior)


def required_flags(input: GenerationInput, params: ParamRegistry) -> frozenset[str]:
    """The feature flags a backend must have to serve `input`."""
    given = (params.params[id] for id in input if id in params.params)
    return frozenset(flag for param in given for flag in param.flags) - DISREGARDED_FLAGS


def _apply_all(
    input: GenerationInput,
    texts: Mapping[str, str],
    params: ParamRegistry,
    choices: Choices,
    permits: Callable[[Permission], bool],
) -> GenerationInput:
    unknown: list[str] = []
    for key, text in texts.items():
        param = params.find(key)
        if param is None:
            unknown.append(key)
        else:
            input = apply(input, param, text, choices, permits)
    if unknown:
        listed = ", ".join(f"{key[:40]!r}" for key in unknown[:10])
        _logger.warning("A request has %d unknown parameters, which are ignored: %s", len(unknown), listed)
    return input


def _apply_sections(
    input: GenerationInput,
    raw: Json,
    params: ParamRegistry,
    choices: Choices,
    permits: Callable[[Permission], bool],
) -> GenerationInput:
    """What metadata keeps of the sections' own values; anything that is not of that shape is nothing."""
    if not isinstance(raw, Mapping):
        return input
    for id, values in list(raw.items())[:_MAX_SECTIONS]:
        if not isinstance(values, Mapping) or not _SECTION_ID.fullmatch(id):
            continue
        for key, value in values.items():
            param = params.find(key)
            if param is not None and param.can_sectionalize:
                input = apply(input, param, text_form(value), choices, permits, section=int(id))
    return input


def _extra_metadata(raw: Json) -> dict[str, Json]:
    """Lists are kept as lists, everything else becomes text; anything but an object is nothing."""
    if not isinstance(raw, Mapping):
        return {}
    return {key: list(value) if isinstance(value, list) else text_form(value) for key, value in raw.items()}


def refuse_deep(raw: Json) -> None:
    """Raises BadInput when `raw` is nested so deeply that turning it into text would exhaust the stack, or holds so
    many values that it would take long."""
    level = [raw]
    for _ in range(_MAX_DEPTH):
        if sum(map(_count, level)) > _MAX_VALUES:
            raise BadInput(f"The request holds more than {_MAX_VALUES} values.")
        level = [child for value in level for child in _children(value)]
        if not level:
            return
    raise BadInput(f"The request is nested more than {_MAX_DEPTH} levels deep.")


def _count(value: Json) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _children(value: Json) -> Sequence[Json]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
