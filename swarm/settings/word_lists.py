"""Lists of words that prompts are completed from: `.txt` and `.csv` files of a folder (swarm-core 9.6). Blocking."""

from __future__ import annotations

import os
import re
from pathlib import Path

from swarm.base.errors import BadInput
from swarm.base.paths import is_hidden, open_under
from swarm.settings.page import AutoCompleteSettings

_ENDINGS = (".txt", ".csv")
_MOST_FILES = 500
_LARGEST = 64 * 1024 * 1024
_WHOLE = re.compile(r"[+-]?[0-9]+")


class WordLists:
    """What has been read is remembered while its file and the settings stay the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[tuple[object, ...], list[str]] = {}

    def names(self) -> list[str]:
        """Every list, by its path below the folder."""
        found = []
        for place, _, files in os.walk(self._folder):
            found += [(Path(place) / name).relative_to(self._folder).as_posix() for name in files]
        usable = [name for name in found if name.lower().endswith(_ENDINGS) and not is_hidden(name)]
        return sorted(usable)[:_MOST_FILES]

    def entries(self, settings: AutoCompleteSettings) -> list[str] | None:
        """The entries that a user's settings ask for: `word`, newline, and the fields of its line with newlines
        between; None when they ask for no list or one that is not there."""
        source = settings.source
        if not source or not source.lower().endswith(_ENDINGS) or is_hidden(source):
            return None
        try:
            with open_under(self._folder, source) as file:
                status = os.fstat(file.fileno())
                key = (source, status.st_mtime_ns, settings.escape_parens, settings.suffix, settings.spacing_mode)
                if key not in self._read:
                    text = file.read(_LARGEST).decode("utf-8", "replace")
                    self._read = {key: entries_of(text, settings)}  # one list at a time: they are large
                return self._read[key]
        except (OSError, BadInput):
            return None


def entries_of(text: str, settings: AutoCompleteSettings) -> list[str]:
    """The entries of a file's text."""
    lines = (line.strip() for line in text.splitlines())
    return [_entry(fields_of(line), settings) for line in lines if line and not line.startswith("#")]


def _entry(fields: list[str], settings: AutoCompleteSettings) -> str:
    if len(fields) == 2 and _WHOLE.fullmatch(fields[1].strip()):
        fields = [fields[0], "0", fields[1], ""]
    word = fields[0]
    if settings.spacing_mode == "Spaces":
        word = word.replace("_", " ")
    elif settings.spacing_mode == "Underscores":
        word = word.replace(" ", "_")
    word += settings.suffix
    if settings.escape_parens:
        word = word.replace("(", "\\(").replace(")", "\\)")
    return "\n".join([word, *fields])


def fields_of(line: str) -> list[str]:
    """The fields of a line. A quote opens only right behind a comma; a backslash drops itself and what follows."""
    fields, at, quoted = [""], 0, line.startswith('"')
    at = 1 if quoted else 0
    while at < len(line):
        letter = line[at]
        if letter == "\\":
            at += 1
        elif quoted and letter == '"' and line[at + 1 : at + 2] == '"':
            fields[-1] += '"'
            at += 1
        elif quoted and letter == '"':
            quoted = False
        elif not quoted and letter == ",":
            fields.append("")
            if line[at + 1 : at + 2] == '"':
                quoted = True
                at += 1
        else:
            fields[-1] += letter
        at += 1
    return fields
