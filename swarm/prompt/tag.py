"""What a prompt tag is, and what it may use while it works. The tags themselves are in tags/, one a file.

    @prompt_tag("shout")
    def shout(tag: TagUse, context: TagContext) -> str | None:
        '''`<shout:text>` writes the text in capitals.'''
        return context.expand(tag.body).upper()

A tag answers the text that takes its place, or None to stay in the prompt as it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Protocol, TypeAlias

from swarm.base.errors import BadInput
from swarm.prompt.dotnet_random import DotnetRandom
from swarm.prompt.lexer import TagUse, split_tags
from swarm.prompt.marks import last_section
from swarm.prompt.numbering import Numbering

MAX_DEPTH = 100
"""How deep tags may stand in one another; deeper ones get a warning and stay as they are."""

MAX_WORK = 1_000_000
"""How many letters the tags of one request may read and write together."""

MAX_WARNINGS = 100
_WORK_PER_TEXT = 16
_SHOWN = 40


class Phase(IntEnum):
    """When a tag acts. Each phase walks the whole text once, left to right."""

    BASIC = 0
    MAIN = 1
    POST = 2


TagFunction: TypeAlias = "Callable[[TagUse, TagContext], str | None]"


@dataclass(frozen=True, kw_only=True)
class PromptTag:
    """A declared tag: its name, other names, phase, and the function that answers what takes its place."""

    name: str
    aliases: tuple[str, ...]
    phase: Phase
    function: TagFunction
    doc: str

    @property
    def id(self) -> str:
        return self.name


def prompt_tag(name: str, *aliases: str, phase: Phase = Phase.MAIN) -> Callable[[TagFunction], PromptTag]:
    """Declare a function as the tag `name`; its docstring is the user's documentation."""

    def declare(function: TagFunction) -> PromptTag:
        return PromptTag(
            name=name, aliases=aliases, phase=phase, function=function, doc=(function.__doc__ or "").strip()
        )

    return declare


class Wildcards(Protocol):
    """Lists of texts to pick from."""

    def find(self, name: str) -> tuple[str, Sequence[str]] | None:
        """The list's own name and its lines, or None when no list is like `name`."""


class NoWildcards:
    """There are none."""

    def find(self, name: str) -> tuple[str, Sequence[str]] | None:
        return None


class Loras(Protocol):
    """The LoRAs that the user may use."""

    def find(self, name: str) -> str | None:
        """The LoRA's own name, without extension, or None when none is like `name`."""

    def count(self) -> int: ...

    def trigger_phrase(self, name: str) -> str:
        """The words that a LoRA, by its own name, answers to; empty if it has none."""


class NoLoras:
    """There are none."""

    def find(self, name: str) -> str | None:
        return None

    def count(self) -> int:
        return 0

    def trigger_phrase(self, name: str) -> str:
        return ""


class Embeddings(Protocol):
    """The textual inversions that the user may use."""

    def find(self, name: str) -> str | None:
        """The embedding's own name, without extension, or None when none is like `name`."""


class NoEmbeddings:
    """There are none."""

    def find(self, name: str) -> str | None:
        return None


class Parameters(Protocol):
    """The request that the prompt belongs to. `section`: the part of the prompt that asks, 0 for all of it."""

    def text(self, name: str, section: int) -> str | None:
        """The value of a parameter as text, empty if unset; None for an unknown parameter."""

    def set(self, name: str, value: str, section: int) -> bool:
        """Give a parameter a value, for the section only if the parameter knows sections; False for an unknown
        parameter. Raises BadInput for a value it cannot have."""

    def trigger_phrases(self) -> Sequence[str]:
        """The words that the model and the LoRAs named so far answer to."""

    def apply_preset(self, title: str) -> str | None:
        """Give parameters the values of a preset, but for the prompt being expanded: answers the preset's text for it,
        empty if it has none. None for an unknown preset. Raises BadInput for a value that a parameter cannot have."""


class NoParameters:
    """A prompt without a request."""

    def text(self, name: str, section: int) -> str | None:
        return None

    def set(self, name: str, value: str, section: int) -> bool:
        return False

    def trigger_phrases(self) -> Sequence[str]:
        return ()

    def apply_preset(self, title: str) -> str | None:
        return None


@dataclass(frozen=True)
class LoraTag:
    """A LoRA that a tag asked for. `text_weight` None: as `weight`. `section`: where it acts, 0 in the plain prompt."""

    name: str
    weight: float
    text_weight: float | None = None
    section: int = 0


@dataclass(frozen=True)
class Draws:
    """What decides random choices. `seed`: the wildcard seed, 0 to 2^31-1. `by_index`: the seed itself says which
    option is picked, nothing is drawn."""

    seed: int
    by_index: bool = False


@dataclass
class TagContext:
    """What tags read and leave behind. One for a picture's prompt and negative prompt together, the prompt first.

    `tags`: by every name. `draws`: asked for when the first choice is made, so that tags before it may still set the
    wildcard seed. `section`: the part of the prompt that is being read.
    """

    tags: Mapping[str, PromptTag]
    draws: Callable[[], Draws]
    wildcards: Wildcards = field(default_factory=NoWildcards)
    known_loras: Loras = field(default_factory=NoLoras)
    known_embeddings: Embeddings = field(default_factory=NoEmbeddings)
    parameters: Parameters = field(default_factory=NoParameters)
    variables: dict[str, str] = field(default_factory=dict)
    macros: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    loras: list[LoraTag] = field(default_factory=list)
    used_wildcards: list[str] = field(default_factory=list)
    used_embeddings: list[str] = field(default_factory=list)
    section: int = 0
    numbering: Numbering = field(default_factory=Numbering)
    _before: str = ""
    _after: str = ""
    _depth: int = 0
    _work: int = 0
    _outermost: str = ""

    @cached_property
    def rng(self) -> DotnetRandom:
        """The one source of random choices, consumed left to right."""
        return DotnetRandom(self.draws().seed + 17)

    def index_below(self, limit: int) -> int:
        """Which of `limit` options to pick."""
        draws = self.draws()
        return draws.seed % limit if draws.by_index else self.rng.below(limit)

    def wrap(self, before: str, after: str) -> None:
        """Put these around the text that is being expanded: the whole prompt, or the data of the tag around."""
        self._before += before
        self._after += after

    def warn(self, sentence: str) -> None:
        """Note what the person should know; the first hundred such sentences are kept."""
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(sentence)

    def expand(self, text: str) -> str:
        """`text` with its tags resolved. What takes a tag's place is not read again. Raises BadInput for a bomb."""
        self.spend(len(text))
        if "<" not in text:
            return text
        if self._depth >= MAX_DEPTH:
            self.warn("Recursive prompt tags - infinite loop, cannot return valid result.")
            return text
        section, before, after = self.section, self._before, self._after
        self._before = self._after = ""
        self._depth += 1
        try:
            for phase in Phase:
                self.section = section
                text = "".join([self._place(piece, phase) for piece in split_tags(text)])
            return f"{self._before}{text}{self._after}"
        finally:
            self._depth -= 1
            self.section, self._before, self._after = section, before, after

    def expand_outside(self, text: str) -> str:
        """As `expand`, for text that will stand before all sections."""
        section, self.section = self.section, 0
        try:
            return self.expand(text)
        finally:
            self.section = section

    def spend(self, letters: int) -> None:
        """Account for work. Raises BadInput when tags unfold into far more than anyone can mean."""
        self._work += letters + _WORK_PER_TEXT
        if self._work > MAX_WORK:
            where = f", at '{self._outermost[:_SHOWN]}'" if self._outermost else ""
            raise BadInput(f"The tags of this prompt unfold into too much text{where}.")

    def _place(self, piece: str | TagUse, phase: Phase) -> str:
        if isinstance(piece, str):
            return piece
        if self._depth == 1:
            self._outermost = piece.source
        tag = self.tags.get(piece.name)
        placed = tag.function(piece, self) if tag is not None and tag.phase is phase else None
        if placed is None:
            placed = piece.source
        else:
            self.spend(len(placed))
        begun = last_section(placed)
        self.section = self.section if begun is None else begun
        return placed
