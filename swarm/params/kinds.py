"""The kinds of parameter made of text, numbers and names: each parses a request's text and describes itself.

The sentences are part of the wire contract (swarm-t2i 3.3). Pictures, sounds and videos are in media_kinds.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from swarm.base.errors import BadInput
from swarm.base.json import Json
from swarm.params.choices import Choices
from swarm.params.matching import best_match, best_model, clean_name, without_suffix
from swarm.params.numbers import number_text, parse_decimal, parse_integer
from swarm.params.param import Bounds, Omitted, Option, Param

LIST_SEPARATOR = "\n|||\n"
"""Joins the elements of a JSON array in the wire's text form."""

NO_MODEL = "(None)"
"""The pseudo model that stands for "no model"."""

MOST_ENTRIES = 1000
"""How many entries a list may have: nobody means more, and each is looked up among all names."""

Options: TypeAlias = Callable[[Choices], Sequence[Option]]


def fixed(*values: str) -> Options:
    """Options that never change and are displayed as they are."""
    options = tuple((value, value) for value in values)
    return lambda choices: options


def shortened(text: str, limit: int = 200) -> str:
    """`text` for an error sentence: a long one is cut, so that no upload comes back in its refusal."""
    return text if len(text) <= limit else text[:limit] + "..."


@dataclass(frozen=True, kw_only=True)
class Text(Param[str]):
    """Any text. `clean` may change or refuse it, in a sentence that stands alone; `edits`: `{value}` in a later text
    stands for the one before (3.5)."""

    default: str = ""
    edits: bool = False
    clean: Callable[[str], str] | None = None

    @property
    def type_name(self) -> str:
        return "text"

    def parse(self, text: str, choices: Choices) -> str | None:
        return text

    def to_text(self, value: str) -> str:
        return value

    def to_json(self, value: str) -> Json | Omitted:
        return value


@dataclass(frozen=True, kw_only=True)
class Integer(Param[int]):
    """A whole number of at most 64 bits. `min` and `max` both 0: unlimited; out of range is refused, never clamped."""

    min: int = 0
    max: int = 0
    view_min: int = 0
    view_max: int = 0
    step: int = 1

    @property
    def type_name(self) -> str:
        return "integer"

    @property
    def bounds(self) -> Bounds:
        return Bounds(*map(float, (self.min, self.max, self.view_min, self.view_max, self.step)))

    def parse(self, text: str, choices: Choices) -> int | None:
        start = f"Invalid integer value for param {self.name} - '{shortened(text)}' - must be "
        value = parse_integer(text)
        if value is None:
            raise BadInput(start + "a valid integer (eg '0', '3', '-5', etc)")
        if (self.min or self.max) and not self.min <= value <= self.max:
            raise BadInput(start + f"between {number_text(self.min)} and {number_text(self.max)}")
        return value

    def to_text(self, value: int) -> str:
        return str(value)

    def to_json(self, value: int) -> Json | Omitted:
        return value


@dataclass(frozen=True, kw_only=True)
class Decimal(Param[float]):
    """A finite number. `min` and `max` both 0 mean unlimited; out of range is refused, never clamped."""

    min: float = 0.0
    max: float = 0.0
    view_min: float = 0.0
    view_max: float = 0.0
    step: float = 1.0

    @property
    def type_name(self) -> str:
        return "decimal"

    @property
    def bounds(self) -> Bounds:
        return Bounds(*map(float, (self.min, self.max, self.view_min, self.view_max, self.step)))

    def parse(self, text: str, choices: Choices) -> float | None:
        start = f"Invalid decimal value for param {self.name} - '{shortened(text)}' - must be "
        value = parse_decimal(text)
        if value is None:
            raise BadInput(start + "a valid decimal (eg '0.0', '3.5', '-5.2', etc)")
        if (self.min or self.max) and not self.min <= value <= self.max:
            raise BadInput(start + f"between {number_text(self.min)} and {number_text(self.max)}")
        return value

    def to_text(self, value: float) -> str:
        return number_text(value)

    def to_json(self, value: float) -> Json | Omitted:
        return float(value)


@dataclass(frozen=True, kw_only=True)
class Boolean(Param[bool]):
    """Yes or no, spelled `true` and `false` in any case; nothing else is understood."""

    default: bool = False

    @property
    def type_name(self) -> str:
        return "boolean"

    def parse(self, text: str, choices: Choices) -> bool | None:
        if (lowered := text.lower()) in ("true", "false"):
            return lowered == "true"
        raise BadInput(
            f"Invalid boolean value for param {self.name} - '{shortened(text)}' - must be exactly 'true' or 'false'"
        )

    def to_text(self, value: bool) -> str:
        return "true" if value else "false"

    def to_json(self, value: bool) -> Json | Omitted:
        return value


@dataclass(frozen=True, kw_only=True)
class Dropdown(Param[str]):
    """One of a list of values, found by `best_match`. Empty text counts as not sent.

    `values` is asked at every use, since lists such as the samplers come from the server. With `validates` False any
    text is accepted.
    """

    values: Options
    validates: bool = True

    @property
    def type_name(self) -> str:
        return "dropdown"

    def options(self, choices: Choices) -> Sequence[Option] | None:
        return self.values(choices)

    def parse(self, text: str, choices: Choices) -> str | None:
        if not self.validates:
            return text
        if not text.strip():
            return None
        values = [value for value, _ in self.values(choices)]
        found = best_match(text, values)
        if found is None:
            raise BadInput(_not_one_of(self.name, text, values))
        return found

    def to_text(self, value: str) -> str:
        return value

    def to_json(self, value: str) -> Json | Omitted:
        return value


@dataclass(frozen=True, kw_only=True)
class Model(Param[str]):
    """A model of the set `subtype`; the value is its full name with extension. Empty text and `(None)` unset it.

    `slot`: the component of the main model that it replaces (`vae`, `t5xxl` …), "" for a model of its own.
    `others`: words that may stand in place of a model, and are listed before them.
    """

    default: str = ""
    subtype: str | None = "Stable-Diffusion"
    slot: str = ""
    others: tuple[str, ...] = ()

    @property
    def type_name(self) -> str:
        return "model"

    def options(self, choices: Choices) -> Sequence[Option] | None:
        """The words and then the models, for parameters with words; for the others clients read the list of models."""
        if not self.others:
            return None
        names = map(without_suffix, choices.models(self.subtype or "") or ())
        return [(name, name) for name in (*self.others, *names)]

    def parse(self, text: str, choices: Choices) -> str | None:
        special = next((word for word in self.others if word.lower() == text.strip().lower()), None)
        if special is not None:
            return special
        if clean_name(text) in ("", "none", "(none)"):
            return None
        names = choices.models(self.subtype or "")
        if names is None:
            raise BadInput(
                f"Invalid model sub-type for param {self.name}: '{self.subtype}' - "
                "are you sure that type name is correct? (Developer error)"
            )
        found = best_model(text, names)
        if found is None:
            raise BadInput(
                f"Invalid model value for param {self.name} - '{shortened(text)}' - "
                "are you sure that model name is correct?"
            )
        return found

    def to_text(self, value: str) -> str:
        return without_suffix(value)

    def to_json(self, value: str) -> Json | Omitted:
        return without_suffix(value)


@dataclass(frozen=True, kw_only=True)
class Listing(Param[tuple[str, ...]]):
    """Several texts: split at the list separator if it occurs, else at commas; trimmed, empty ones dropped.

    `values`: what each must be one of, found by `best_match` and then as a model name. `numeric`: each must be a
    number; `min`, `max` and `step` describe it to the page.
    """

    default: tuple[str, ...] = ()
    values: Options | None = None
    numeric: bool = False
    min: float = 0.0
    max: float = 0.0
    step: float = 1.0

    @property
    def type_name(self) -> str:
        return "list"

    @property
    def bounds(self) -> Bounds:
        return Bounds(min=float(self.min), max=float(self.max), step=float(self.step))

    def options(self, choices: Choices) -> Sequence[Option] | None:
        return self.values(choices) if self.values else None

    def parse(self, text: str, choices: Choices) -> tuple[str, ...] | None:
        parts = tuple(split_list(text, ","))
        if len(parts) > MOST_ENTRIES:
            raise BadInput(f"Invalid value for param {self.name} - a list of {len(parts)} - at most {MOST_ENTRIES} fit")
        if self.numeric:
            return self._numbers(parts, text)
        if self.values is None:
            return parts
        known = [value for value, _ in self.values(choices)]
        found = [best_match(part, known) or best_model(part, known) for part in parts]
        if None in found and len(known) < 10:
            raise BadInput(_not_one_of(self.name, text, known))
        if None in found:
            raise BadInput(
                f"Invalid value for param {self.name} - '{shortened(text)}' - "
                "option does not exist. Has it been deleted?"
            )
        return tuple(name for name in found if name is not None)

    def _numbers(self, parts: Sequence[str], text: str) -> tuple[str, ...]:
        """Each number in its shortest spelling, which `float` reads."""
        numbers = [parse_decimal(part) for part in parts]
        if None in numbers:
            raise BadInput(
                f"Invalid decimal value for param {self.name} - '{shortened(text)}' - "
                "must be a valid decimal (eg '0.0', '3.5', '-5.2', etc)"
            )
        return tuple(number_text(number) for number in numbers if number is not None)

    def to_text(self, value: tuple[str, ...]) -> str:
        return LIST_SEPARATOR.join(value) if len(value) > 1 else "".join(value)

    def to_json(self, value: tuple[str, ...]) -> Json | Omitted:
        return list(value)


def split_list(text: str, separator: str) -> list[str]:
    """The elements of a list in the wire's text form; `separator` is used when the wire's own does not occur."""
    parts = text.split(LIST_SEPARATOR if LIST_SEPARATOR in text else separator)
    return [part for raw in parts if (part := raw.strip())]


def _not_one_of(name: str, text: str, values: Sequence[str]) -> str:
    return f"Invalid value for param {name} - '{shortened(text)}' - must be one of: `{'`, `'.join(values)}`"
