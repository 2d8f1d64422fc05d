"""SwarmUI's settings-file syntax (FDS): text <-> tree. Pure.

    # a comment
    network:
        port: 7801
    names:
    - first
    - second

A tree is a dict of texts, bytes, lists and further dicts; numbers and booleans are texts here, because only the reader
knows what a setting should be. A bare `key:` is an empty dict; an empty text is written `\\x`, which means nothing.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, Union

from swarm.base.errors import BadInput

Node: TypeAlias = Union[str, bytes, list["Node"], dict[str, "Node"]]
Value: TypeAlias = Union[str, bytes, bool, int, float, Sequence["Value"], Mapping[str, "Value"]]
Path: TypeAlias = tuple[str, ...]

_ESCAPES = {ord("\\"): "\\s", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}
_KEY_ESCAPES = {**_ESCAPES, ord("."): "\\d", ord(":"): "\\c", ord("="): "\\e"}
_MEANINGS = {"s": "\\", "t": "\t", "n": "\n", "r": "\r", "x": ""}
_KEY_MEANINGS = {**_MEANINGS, "d": ".", "c": ":", "e": "="}
_ESCAPED = re.compile(r"\\([stnrx])")
_KEY_ESCAPED = re.compile(r"\\([stnrxdce])")
_SEPARATOR = re.compile("[:=]")
_LIST_SIGNS = "-=>"
_NOTHING = "\\x"
_STEP = 4


# ---- reading ----


@dataclass(frozen=True)
class _Line:
    """A line that says something: its number from 1, how far it is indented, and the rest."""

    number: int
    indent: int
    text: str

    def wrong(self, reason: str) -> BadInput:
        return BadInput(f"Line {self.number} of the settings cannot be read: {reason}. It says: {self.text[:200]}")


def parse(text: str) -> dict[str, Node]:
    """The tree of a file's text. Raises BadInput naming the line that cannot be read."""
    lines = list(_lines(text))
    tree, end = _section(lines, 0, lines[0].indent if lines else 0)
    if end < len(lines):
        raise lines[end].wrong("it does not belong to anything")
    return tree


def _lines(text: str) -> Iterator[_Line]:
    text = text.removeprefix("\ufeff")
    text = text.replace("\r", "") if "\r\n" in text else text.replace("\r", "\n")
    for number, line in enumerate(text.replace("\t", " " * _STEP).split("\n"), start=1):
        content = line.strip(" ")
        if content and not content.startswith("#"):
            yield _Line(number, len(line) - len(line.lstrip(" ")), content)


def _section(lines: list[_Line], at: int, indent: int) -> tuple[dict[str, Node], int]:
    """Keys at exactly `indent`, from line `at`; returns them and the first line after them."""
    tree: dict[str, Node] = {}
    while at < len(lines) and lines[at].indent >= indent:
        line = lines[at]
        if line.indent > indent:
            raise line.wrong("it is indented further than the line before allows")
        if line.text[0] in _LIST_SIGNS:
            raise line.wrong("a list needs a key above it")
        key, value, at = _pair(lines, at, line, indent)
        tree[key] = value
    return tree, at


def _pair(lines: list[_Line], at: int, line: _Line, indent: int) -> tuple[str, Node, int]:
    """The key and value of `line`, which is lines[at] or what follows a `>` on it."""
    sign = _SEPARATOR.search(line.text)
    if sign is None or sign.start() == 0:
        raise line.wrong("it needs a key, a colon and a value")
    key = _KEY_ESCAPED.sub(lambda found: _KEY_MEANINGS[found[1]], line.text[: sign.start()])
    inline = line.text[sign.end() :].strip(" ")
    if inline:
        return key, _scalar(line, sign[0], inline), at + 1
    if sign[0] == "=":
        raise line.wrong("binary data must be on the same line as its key")
    value, end = _nested(lines, at + 1, indent)
    return key, value, end


def _nested(lines: list[_Line], at: int, indent: int) -> tuple[Node, int]:
    """What stands below a bare key: a deeper section, a list at the same depth, or nothing (an empty dict)."""
    if at < len(lines) and lines[at].indent > indent:
        return _section(lines, at, lines[at].indent)
    if at < len(lines) and lines[at].indent == indent and lines[at].text[0] in _LIST_SIGNS:
        return _list(lines, at, indent)
    return {}, at


def _list(lines: list[_Line], at: int, indent: int) -> tuple[list[Node], int]:
    items: list[Node] = []
    while at < len(lines) and lines[at].indent == indent and lines[at].text[0] in _LIST_SIGNS:
        item, at = _item(lines, at, lines[at])
        items.append(item)
    return items, at


def _item(lines: list[_Line], at: int, line: _Line) -> tuple[Node, int]:
    """One list entry; `>` opens a section or a further list whose first line stands behind it."""
    sign, rest = line.text[0], line.text[1:].lstrip(" ")
    if sign != ">":
        return _scalar(line, sign, rest), at + 1
    if not rest:
        raise line.wrong("something must follow the '>'")
    inner = _Line(line.number, line.indent + len(line.text) - len(rest), rest)
    if rest[0] in _LIST_SIGNS:
        first, at = _item(lines, at, inner)
        others, at = _list(lines, at, inner.indent)
        return [first, *others], at
    key, value, at = _pair(lines, at, inner, inner.indent)
    section, at = _section(lines, at, inner.indent)
    return {key: value, **section}, at


def _scalar(line: _Line, sign: str, text: str) -> str | bytes:
    if sign != "=":
        return _ESCAPED.sub(lambda found: _MEANINGS[found[1]], text)
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise line.wrong("its binary data is not base64") from None


# ---- writing ----


def write(tree: Mapping[str, Value], comments: Mapping[Path, str] | None = None) -> str:
    """The text of a tree. `comments`: what to write above a key, by its path of keys."""
    return "".join(f"{line}\n" for line in _section_lines(tree, 0, (), comments or {}))


def _section_lines(tree: Mapping[str, Value], indent: int, path: Path, comments: Mapping[Path, str]) -> Iterator[str]:
    margin = " " * indent
    for key, value in tree.items():
        for comment in comments.get((*path, key), "").splitlines():
            yield f"{margin}# {comment}".rstrip()
        name = _written_key(key)
        match value:
            case Mapping():
                yield f"{margin}{name}:"
                yield from _section_lines(value, indent + _STEP, (*path, key), comments)
            case bytes():
                yield f"{margin}{name}= {b64encode(value).decode()}"
            case Sequence() if not isinstance(value, str):
                yield f"{margin}{name}:"
                yield from _list_lines(value, indent)
            case _:
                yield f"{margin}{name}: {_written(value)}"


def _list_lines(items: Sequence[Value], indent: int) -> Iterator[str]:
    margin = " " * indent
    for item in items:
        match item:
            case bytes():
                yield f"{margin}= {b64encode(item).decode()}"
            case Mapping() if item:
                yield from _opened(margin, _section_lines(item, indent + 2, (), {}), indent)
            case Sequence() if item and not isinstance(item, str):
                yield from _opened(margin, _list_lines(item, indent + 2), indent)
            case _:
                yield f"{margin}- {_written(item)}"


def _opened(margin: str, lines: Iterator[str], indent: int) -> Iterator[str]:
    """Put `> ` where the first of the (deeper) lines begins."""
    for number, line in enumerate(lines):
        yield f"{margin}> {line[indent + 2 :]}" if number == 0 else line


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""
    return _kept(text.translate(_ESCAPES))


def _written_key(key: str) -> str:
    text = key.translate(_KEY_ESCAPES)
    return _NOTHING + text if text[:1] in (*_LIST_SIGNS, "#") else _kept(text)


def _kept(text: str) -> str:
    """Guard blanks at the ends, which reading would strip, and texts that are empty."""
    front = _NOTHING if not text or text[0] == " " else ""
    return front + text + (_NOTHING if text.endswith(" ") else "")
