"""The kinds of parameter made of files: pictures, sounds and videos, one or several (swarm-t2i 3.3).

A file comes as a data URL, as bare base64, or as a path in the user's own output folder. Its first bytes must be those
of a file of its category; whoever decodes it later checks the rest.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from swarm.base.errors import BadInput, UserError
from swarm.base.json import Json
from swarm.media.image import Picture
from swarm.params.choices import Choices
from swarm.params.kinds import LIST_SEPARATOR, shortened, split_list
from swarm.params.param import OMITTED, Omitted, Param

_HISTORY_FOLDERS = ("inputs/", "raw/", "Starred/")
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{10,}")
_SIGNATURES: tuple[tuple[str, str, int, bytes], ...] = (
    # (category, mime, offset, bytes); an ISO file's brand and a RIFF file's form tell apart what shares a beginning.
    ("image", "image/png", 0, b"\x89PNG\r\n\x1a\n"),
    ("image", "image/jpeg", 0, b"\xff\xd8\xff"),
    ("image", "image/webp", 8, b"WEBP"),
    ("image", "image/gif", 0, b"GIF8"),
    ("image", "image/bmp", 0, b"BM"),
    ("image", "image/tiff", 0, b"II*\x00"),
    ("image", "image/tiff", 0, b"MM\x00*"),
    ("image", "image/avif", 4, b"ftypavif"),
    ("audio", "audio/wav", 8, b"WAVE"),
    ("audio", "audio/mpeg", 0, b"ID3"),
    ("audio", "audio/mpeg", 0, b"\xff\xfb"),
    ("audio", "audio/ogg", 0, b"OggS"),
    ("audio", "audio/flac", 0, b"fLaC"),
    ("video", "video/webm", 0, b"\x1a\x45\xdf\xa3"),
    ("video", "video/mp4", 4, b"ftyp"),
    ("video", "image/gif", 0, b"GIF8"),
    ("video", "image/webp", 8, b"WEBP"),
)
_WANTED = {
    "image": "a PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF picture",
    "audio": "a WAV, MP3, OGG or FLAC file",
    "video": "an MP4, WebM, GIF or WebP file",
}


def sniff(data: bytes, category: str) -> str | None:
    """The mime type that the first bytes of `data` tell, or None when they are not of `category`."""
    for known, mime, offset, signature in _SIGNATURES:
        if known == category and data.startswith(signature, offset):
            return mime
    return None


@dataclass(frozen=True, kw_only=True)
class Media(Param[Picture | None]):
    """One file of `category`: `image`, `audio` or `video`. Empty text unsets it."""

    default: Picture | None = None
    category: str = "image"

    @property
    def type_name(self) -> str:
        return self.category

    def parse(self, text: str, choices: Choices) -> Picture | None:
        return _read(self, text, self.category.upper(), self.category, choices)

    def to_text(self, value: Picture | None) -> str:
        return _text(value) if value else ""

    def default_text(self) -> str | None:
        return None

    def to_json(self, value: Picture | None) -> Json | Omitted:
        return value.path if value and value.path else OMITTED


@dataclass(frozen=True, kw_only=True)
class MediaList(Param[tuple[Picture, ...]]):
    """Several files of `category`, split at the list separator if it occurs, else at `|`."""

    default: tuple[Picture, ...] = ()
    category: str = "image"

    @property
    def type_name(self) -> str:
        return f"{self.category}_list"

    def parse(self, text: str, choices: Choices) -> tuple[Picture, ...] | None:
        files = [_read(self, part, f"{self.category}-list", self.category, choices) for part in split_list(text, "|")]
        return tuple(file for file in files if file is not None) or None

    def to_text(self, value: tuple[Picture, ...]) -> str:
        return LIST_SEPARATOR.join(map(_text, value))

    def to_json(self, value: tuple[Picture, ...]) -> Json | Omitted:
        paths: Sequence[str] = [picture.path for picture in value if picture.path]
        return paths or OMITTED


def _text(picture: Picture) -> str:
    return picture.path or f"data:{picture.mime};base64,{base64.b64encode(picture.data).decode('ascii')}"


def _read(param: Media | MediaList, text: str, word: str, category: str, choices: Choices) -> Picture | None:
    """The file that `text` means; None for blank text. `word` is the kind as its error sentences spell it."""
    body = text.partition(",")[2] if text.startswith("data:") else text
    if not body.strip():
        return None
    start = f"Invalid {word} value for param {param.name} - '{shortened(text)}' - "
    if body.startswith(_HISTORY_FOLDERS):
        picture = _from_history(param.name, body, choices)
    else:
        picture = Picture(data=_decode(body, start), mime="")
    mime = sniff(picture.data[:32], category)
    if mime is None:
        raise BadInput(f"{start}this is not {_WANTED[category]}")
    return replace(picture, mime=mime)


def _decode(body: str, start: str) -> bytes:
    if _BASE64.fullmatch(body):
        try:
            return base64.b64decode(body, validate=True)
        except binascii.Error:
            pass
    raise BadInput(f"{start}must be a valid base64 string - got '{body[:10]}...'")


def _from_history(name: str, path: str, choices: Choices) -> Picture:
    start = f"Invalid file path for param {name} - '{shortened(path)}' - "
    try:
        found = choices.read_picture(path)
    except UserError as error:
        raise BadInput(start + error.sentence) from None
    if found is None:
        raise BadInput(start + "file does not exist")
    data, mime = found
    return Picture(data=data, mime=mime, path=path)
