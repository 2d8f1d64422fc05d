"""From the prompt that was written to the prompt that is drawn (swarm-t2i 5). Pure, given a context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from swarm.base.registry import DuplicateId, Registry
from swarm.prompt.embedding_words import tagged_embeddings
from swarm.prompt.marks import without_marks, written_out
from swarm.prompt.tag import LoraTag, PromptTag, TagContext


@dataclass(frozen=True)
class ExpandedPrompt:
    """`text` is final but for what the encoder reads (`(a:1.2)`, `[a|b]`, `<break>`, `<embed:name>`) and the sections
    (`<refiner//cid=1>` …: swarm.prompt.sections); `original` is as it was written.

    `loras`, `wildcards` and `warnings` are what this one text left behind.
    """

    text: str
    original: str
    loras: tuple[LoraTag, ...] = ()
    wildcards: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def expand(prompt: str, context: TagContext) -> ExpandedPrompt:
    """Resolve the tags of `prompt`. Raises BadInput when they unfold into too much or give a parameter a bad value."""
    loras, wildcards, warnings = len(context.loras), len(context.used_wildcards), len(context.warnings)
    text = tagged_embeddings(without_marks(prompt), context)
    context.numbering.begin(text)
    if "<" in text:
        text = written_out(context.expand_outside(text), _phrases(context))
    return ExpandedPrompt(
        text=text,
        original=prompt,
        loras=tuple(context.loras[loras:]),
        wildcards=tuple(context.used_wildcards[wildcards:]),
        warnings=tuple(context.warnings[warnings:]),
    )


def _phrases(context: TagContext) -> str:
    """What the LoRAs answer to that tags have asked for."""
    phrases = (context.known_loras.trigger_phrase(name) for name in dict.fromkeys(tag.name for tag in context.loras))
    return ", ".join(phrase for phrase in phrases if phrase)


def tag_table(tags: Registry[PromptTag]) -> Mapping[str, PromptTag]:
    """Tags by every name they have. Raises DuplicateId when two share one."""
    table: dict[str, PromptTag] = {}
    for tag in tags.values():
        for name in (tag.name, *tag.aliases):
            if table.setdefault(name, tag) is not tag:
                raise DuplicateId(f"Both '{table[name].id}' and '{tag.id}' want the prompt tag name '{name}'.")
    return table
