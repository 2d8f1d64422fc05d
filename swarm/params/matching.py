"""Finding what a person meant in a list of names (swarm-t2i 3.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

MODEL_SUFFIX = ".safetensors"
_DROPPED = str.maketrans("", "", " []")
_TOO_LONG = 999


@lru_cache(maxsize=1 << 16)
def clean_name(name: str) -> str:
    """Lower case, without spaces and square brackets."""
    return name.lower().translate(_DROPPED).strip()


@lru_cache(maxsize=1 << 16)
def clean_model_name(name: str) -> str:
    """As `clean_name`, after dropping a trailing `.safetensors`."""
    return clean_name(without_suffix(name))


def without_suffix(name: str) -> str:
    """A model's name as people write it: no `.safetensors` at the end."""
    return name[: -len(MODEL_SUFFIX)] if name.lower().endswith(MODEL_SUFFIX) else name


def best_match(name: str, options: Iterable[str], clean: Callable[[str], str] = clean_name) -> str | None:
    """The option whose cleaned form equals that of `name`, else the shortest one that contains it, else None.

    The first of several equally short ones wins; options of 999 characters and more are never found by a part.
    """
    wanted = clean(name)
    best: str | None = None
    best_length = _TOO_LONG
    for option in options:
        cleaned = clean(option)
        if cleaned == wanted:
            return option
        if len(cleaned) < best_length and wanted in cleaned:
            best, best_length = option, len(cleaned)
    return best


def best_model(name: str, options: Iterable[str]) -> str | None:
    """`best_match` for model names: `\\` counts as `/`, and `.safetensors` does not count."""
    return best_match(name.replace("\\", "/"), options, clean_model_name)
