"""Paths of pictures from templates (swarm-t2i 6.1). Never touches the disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType

from swarm.base.accents import composed
from swarm.base.ids import clean_id
from swarm.base.paths import clean_file_name, clean_output_path, names_device

KNOWN_EXTRAS = frozenset(
    [
        *("debugbackend", "scoring", "usedembeddings", "generationtime", "intermediate", "usedwildcards"),
        *("swarmversion", "date", "originalprompt", "originalnegativeprompt", "presetsused"),
    ]
)
"""Cleaned keys of extra metadata that give empty text when the picture has none."""

_TOKEN = re.compile(r"\[([^\[\]]+)\]")
_ESCAPE = re.compile(r"%(?=[0-9a-fA-F]{2})")
_MAX_PART_BYTES = 200
_MAX_PARTS = 10
_LONGEST = 4096
"""Letters that are looked at: no path is longer."""


def output_path(
    template: str, tokens: Mapping[str, str], *, max_part: int = 40, number: int = 1, allow_unsafe: bool = False
) -> str:
    """The path a picture is saved at: relative, without extension, never empty.

    `tokens`: values by token, spelled as in the template or as a cleaned id. Each is cut to `max_part` characters and
    strictly cleaned; the whole path is too, unless `allow_unsafe`. Unknown tokens stay as they are written.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] == "number":
            return str(number)
        text = _find(match[1], tokens)
        return match[0] if text is None else _clean_value(text, max_part)

    # Half characters go first: what stood around one might be a `..` without it.
    filled = composed(_TOKEN.sub(value, template[:_LONGEST])[:_LONGEST]).encode("utf-8", "ignore").decode()
    cleaned = clean_output_path(filled) if allow_unsafe else clean_file_name(filled)
    parts = [_usable(part) for part in _without_escapes(cleaned).split("/")]
    kept = [part for part in parts if part]
    return "/".join(kept[: _MAX_PARTS - 1] + kept[_MAX_PARTS - 1 :][-1:]) or "unnamed"


def candidates(
    template: str, tokens: Mapping[str, str], *, max_part: int = 40, allow_unsafe: bool = False, after: int = 0
) -> Iterator[str]:
    """Paths to try one after another until one is free: 6.2's counter. Never ends.

    `after`: the counter's last value, where it is known that all up to it are taken.
    """
    first = output_path(template, tokens, max_part=max_part, allow_unsafe=allow_unsafe)
    if after == 0:
        yield first
    counted = "[number]" in template
    number = after
    while True:
        number += 1
        path = output_path(template, tokens, max_part=max_part, number=number, allow_unsafe=allow_unsafe)
        # A long name may have lost its counter to the length limit; then the suffix tells them apart.
        yield path if counted and (path != first or number == 1) else f"{first}-{number}"


def _find(token: str, tokens: Mapping[str, str]) -> str | None:
    if token in tokens:
        return tokens[token]
    cleaned = clean_id(token)
    return tokens.get(cleaned, "" if cleaned in KNOWN_EXTRAS else None)


def _clean_value(text: str, max_part: int) -> str:
    return clean_file_name(text[:max_part].replace("\\", "").replace("/", ""))


def _without_escapes(path: str) -> str:
    """A name with "%41" in it could not be reached through a URL, which is decoded twice."""
    while _ESCAPE.search(path):
        path = _ESCAPE.sub("", path)
    return path


def _usable(part: str) -> str:
    """A path part that every file system takes, with room for a counter and an extension, and that is not hidden."""
    visible = part.encode("utf-8", "ignore").lstrip(b". ")[:_MAX_PART_BYTES].decode(errors="ignore").strip()
    return f"_{visible}" if names_device(visible) else visible


def time_tokens(moment: datetime) -> Mapping[str, str]:
    """The tokens that say when; `moment` is the local time of the request."""
    return MappingProxyType(
        {
            "year": f"{moment.year:04}",
            "month": f"{moment.month:02}",
            "day": f"{moment.day:02}",
            "hour": f"{moment.hour:02}",
            "minute": f"{moment.minute:02}",
            "second": f"{moment.second:02}",
            "millisecond": f"{moment.microsecond // 1000:03}",
            "month_name": _MONTHS[moment.month - 1],
            "day_name": _DAYS[moment.weekday()],
        }
    )


def hash_token(text: str) -> str:
    """The first 4 bytes of the text's SHA-256 in hex, for `[prompthash]`."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]


# Not strftime, which speaks the machine's language.
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
