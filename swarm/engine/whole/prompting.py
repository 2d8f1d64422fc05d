"""Prompts of whole pipelines: weights, breaks, changes and a memory, around the pipeline's own encoding.

ComfyUI reads weights with T5, CLIP and LLaMA, and takes the text as it is with other language models. Where a pipeline
cannot be made to weigh, the words are told without the syntax.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from inspect import ismethod, signature
from math import lcm
from typing import Any, TypeAlias
from weakref import WeakMethod

import torch

from swarm.engine.whole.changing import Changes, course_of
from swarm.engine.whole.weighing import Weighed, weighing
from swarm.engine.whole.wish import Wish
from swarm.engine.words.inversions import without_inversions
from swarm.engine.words.text_language import plain
from swarm.prompt.alternation import prompt_schedule, split_breaks
from swarm.prompt.weights import weighted_spans

Heard: TypeAlias = "OrderedDict[Hashable, Any]"
"""What a pipeline's prompts were encoded as, the last used last."""

_REMEMBERED = 24
_WEIGHED = frozenset(
    {"T5EncoderModel", "UMT5EncoderModel", "MT5EncoderModel", "LlamaModel", "LlamaForCausalLM"}
    | {"LlavaForConditionalGeneration", "CLIPTextModel", "CLIPTextModelWithProjection"}
)
"""Text encoders by class whose tokens have weights."""

_BLANK = ("Cosmos", "SkyReels", "Wan")
"""Pipelines, by how their names begin, that blank what lies behind a prompt's end."""

_LENGTHENED: Mapping[str, Callable[[Any], bool]] = {
    "WanTransformer3DModel": lambda config: config.image_dim is None,
    "LTXVideoTransformer3DModel": lambda config: True,
    "HunyuanVideoTransformer3DModel": lambda config: config.get("image_condition_type") is None,
    "CogVideoXTransformer3DModel": lambda config: (
        config.use_rotary_positional_embeddings and not config.use_learned_positional_embeddings
    ),
}
"""Transformers that hear prompts of any length, so that the parts between breaks can follow one another."""

_BREAK = "<break>"


def prepared(shell: Any, wish: Wish, heard: Heard, state: Hashable) -> tuple[Wish, Changes]:
    """The wish with its prompts as the pipeline is to be told them, and what becomes of them on the way. From now on
    the pipeline weighs, joins and remembers.

    `state`: names what was changed in the encoders' weights.
    """
    encodes, lengthens = ismethod(getattr(shell, "encode_prompt", None)), _lengthens(shell)
    listeners = list(_listeners(shell))
    read = all(type(encoder).__name__ in _WEIGHED for _, _, encoder in listeners)
    weighs = read and encodes and all(getattr(tokenizer, "is_fast", False) for _, tokenizer, _ in listeners)
    between = _BREAK if encodes and lengthens else " "

    def told(text: str) -> str:
        parts = [part.strip() for part in split_breaks(without_inversions(text))]
        return between.join(parts if weighs else map(_bare if read else plain, parts))

    schedules = (prompt_schedule(text, wish.steps) for text in (wish.prompt, wish.negative))
    courses = [course_of(texts if encodes else texts[:1], wish.steps, told) for texts in schedules]
    changes = Changes(courses)
    if encodes:
        stand_ins = [(name, Weighed(tokenizer), encoder) for name, tokenizer, encoder in listeners if weighs]
        count = lcm(*(len(split_breaks(text)) for course in courses for text in course.texts))
        blank = type(shell).__name__.startswith(_BLANK)
        encode = _Encode(shell.encode_prompt, heard, (type(shell), state), stand_ins, changes, count=count, blank=blank)
        for name, stand_in, _encoder in stand_ins:
            object.__setattr__(shell, name, stand_in)
        object.__setattr__(shell, "encode_prompt", encode)
    prompt, negative = (course.texts[0] for course in courses)
    return replace(wish, prompt=prompt, negative=negative), changes


def _bare(text: str) -> str:
    """The words without their weights."""
    return "".join(span.text for span in weighted_spans(text))


def _listeners(shell: Any) -> Iterator[tuple[str, Any, Any]]:
    """(its tokenizer's name, the tokenizer, the encoder) of each text encoder."""
    for name, tokenizer in shell.components.items():
        encoder = getattr(shell, name.replace("tokenizer", "text_encoder", 1), None)
        if name.startswith("tokenizer") and tokenizer is not None and encoder is not None:
            yield name, tokenizer, encoder


def _lengthens(shell: Any) -> bool:
    transformer: Any = getattr(shell, "transformer", None)
    known = _LENGTHENED.get(type(transformer).__name__)
    return known is not None and known(transformer.config)


class _Encode:
    """A pipeline's own encoding of prompts, with what it lacks. `count`: how many parts each prompt is cut into; one
    with fewer is heard over and over."""

    def __init__(
        self,
        own: Callable[..., Any],
        heard: Heard,
        state: Hashable,
        stand_ins: Sequence[tuple[str, Weighed, Any]],
        changes: Changes,
        *,
        count: int,
        blank: bool,
    ) -> None:
        self._own = WeakMethod(own)  # so that the pipeline goes when its run is over
        self._heard = heard
        self._state = state
        self._stand_ins = stand_ins
        self._changes = changes
        self._count = count
        self._blank = blank

    @property
    def _method(self) -> Callable[..., Any]:
        found = self._own()
        assert found is not None
        return found

    def __call__(self, *given: Any, **named: Any) -> Any:
        arguments = signature(self._method).bind(*given, **named).arguments
        first = self._remembered(arguments)
        for voice, course in enumerate(self._changes.courses):
            for number, text in enumerate(course.texts[1:], 1):
                others = _instead(arguments, course.texts[0], text, is_negative=voice == 1)
                if others != arguments:
                    self._changes.note(voice, number, first, self._remembered(others))
        return first

    def _remembered(self, arguments: Mapping[str, Any]) -> Any:
        key = _key((self._state, self._count, arguments))
        if key is None:
            return self._encoded(arguments)
        if key not in self._heard:
            self._heard[key] = self._encoded(arguments)
            if len(self._heard) > _REMEMBERED:
                self._heard.popitem(last=False)
        self._heard.move_to_end(key)
        return self._heard[key]

    def _encoded(self, arguments: Mapping[str, Any]) -> Any:
        with ExitStack() as stack:
            for _name, stand_in, encoder in self._stand_ins:
                stack.enter_context(weighing(encoder, stand_in, blank=self._blank))
            return _joined([self._method(**_part(arguments, number)) for number in range(self._count)])


def _instead(arguments: Mapping[str, Any], first: str, text: str, *, is_negative: bool) -> dict[str, Any]:
    """The arguments with another text of a voice. Some pipelines encode the negative prompt as if it were the other."""
    named = any("negative" in name for name in arguments)

    def changed(name: str, value: Any) -> Any:
        if "prompt" not in name or (named and ("negative" in name) != is_negative):
            return value
        if isinstance(value, list):
            return [changed(name, each) for each in value]
        return text if value == first or (value is None and not first and is_negative) else value

    return {name: changed(name, value) for name, value in arguments.items()}


def _key(value: Any) -> Hashable:
    """What an encoding is remembered by; None where something in it cannot be told from another."""
    if isinstance(value, Mapping):
        value = tuple(value.items())
    if isinstance(value, list | tuple):
        inner = tuple(map(_key, value))
        return None if None in inner else inner
    known = value is None or isinstance(value, str | int | float | type | torch.device | torch.dtype)
    return (type(value), value) if known else None


def _part(arguments: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The arguments for one part of all prompts among them."""

    def cut(value: Any) -> Any:
        if isinstance(value, list):
            return [cut(each) for each in value]
        if not isinstance(value, str):
            return value
        parts = split_breaks(value)
        return parts[number % len(parts)]

    return {name: cut(value) if "prompt" in name else value for name, value in arguments.items()}


def _joined(parts: Sequence[Any]) -> Any:
    """What the parts were encoded as, one after the other; what sums a prompt up is the first's."""
    first = parts[0]
    if len(parts) == 1 or not isinstance(first, tuple | list):
        return first if len(parts) == 1 else _row(parts, set())
    lengths = {one.shape[1] for one in first if isinstance(one, torch.Tensor) and one.ndim == 3}
    found = [_row(each, lengths) for each in zip(*parts, strict=True)]
    masks = [at for at, one in enumerate(first) if _is_mask(one, lengths)]
    words = [at for at, one in enumerate(first) if isinstance(one, torch.Tensor) and one.ndim == 3]
    if len(masks) == len(words) == 1:
        # Transformers that count a mask's places take them to be the first ones.
        order = found[masks[0]].long().argsort(dim=1, descending=True, stable=True)
        found[masks[0]] = found[masks[0]].gather(1, order)
        found[words[0]] = found[words[0]].gather(1, order[..., None].expand_as(found[words[0]]))
    return type(first)(found)


def _row(parts: Sequence[Any], lengths: set[int]) -> Any:
    first = parts[0]
    follows = isinstance(first, torch.Tensor) and (first.ndim == 3 or _is_mask(first, lengths))
    return torch.cat(list(parts), dim=1) if follows else first


def _is_mask(value: Any, lengths: set[int]) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.ndim == 2
        and value.shape[1] in lengths
        and not value.is_floating_point()
    )
