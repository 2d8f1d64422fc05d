"""A download's bytes: written as they come, kept for another try when the connection or the server goes away."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import file_digest, sha256
from http import HTTPStatus
from io import BufferedRandom
from pathlib import Path
from typing import Any

from swarm.base.atomic import write_whole
from swarm.base.errors import BadInput, Refused
from swarm.base.json import Json, dumps, loads
from swarm.base.outgoing import Answer

SPARE_BYTES = 512 * 1024 * 1024
MAX_BYTES = 1024**4
SLOWEST = 64 * 1024
_WINDOW_SECONDS = 300.0
_FRAME_SECONDS = 1.0
_BLOCK = 1024 * 1024
_KEEP_EVERY = 64 * 1024 * 1024
_HASH = re.compile(r'"?([0-9a-f]{64})"?')
_SECRET = re.compile(r"(?<=[?&])token=[^&]*&?")


class Spoilt(Refused):
    """What was fetched is of no use, however it goes on."""


class Part:
    """The unfinished file of a download, `<target>.part`, and a note of what it is part of, to take it up again.

    `tag`: what its host calls the file's state; None where the host does not say, and then nothing can be taken up.
    """

    def __init__(self, target: Path, url: str) -> None:
        self.path = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")
        self._url = sha256(_SECRET.sub("", url).encode()).hexdigest()
        self.tag: str | None = None

    def open(self) -> BufferedRandom:
        """The file, for reading and writing; empty unless there is a part of the same file. Raises OSError."""
        try:
            note: Any = loads(self._note.read_bytes())
            is_same = isinstance(note, dict) and note.get("url") == self._url and isinstance(note.get("tag"), str)
            if is_same and isinstance(size := note.get("size"), int):
                file = self.path.open("r+b")
                file.truncate(min(max(size, 0), file.seek(0, os.SEEK_END)))
                self.tag = note["tag"]
                return file
        except (OSError, BadInput):
            pass
        return self.path.open("w+b")

    def note(self, tag: str | None, size: int) -> None:
        """Write down which state of the file this is part of, and how much of it is safely on the disk. Blocking.
        Raises OSError."""
        self.tag = tag
        if tag is None:
            self._note.unlink(missing_ok=True)
        else:
            write_whole(self._note, dumps({"url": self._url, "tag": tag, "size": size}))

    def discard(self) -> None:
        """Remove both."""
        for path in (self.path, self._note):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what cannot be taken up again."""
        with suppress(OSError):
            if self._note.exists() and self.path.exists() and self.path.stat().st_size:
                return
        self.discard()


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a download is. `share`: 0 to 1, 0 while the size is unknown. `per_second`: bytes."""

    share: float
    per_second: int

    def to_wire(self) -> Mapping[str, Json]:
        return {"current_percent": self.share, "overall_percent": 0.2, "per_second": self.per_second}


class Transfer:
    """The bytes so far, over several attempts, and from an earlier call where `part` has some."""

    def __init__(
        self,
        part: Part,
        file: BufferedRandom,
        clock: Callable[[], float],
        free: Callable[[], int],
        hash: str | None = None,
    ) -> None:
        """`file`: the part, opened. `hash`: what is known beforehand to be the file's SHA-256."""
        self._part = part
        self._file = file
        self._clock = clock
        self._free = free
        self._waiting = bytearray()
        self._done = file.seek(0, os.SEEK_END)
        self._digest = sha256() if self._done == 0 else None
        self._kept = self._done
        self._total: int | None = None
        self._tag: str | None = part.tag
        self._known = self._hash = hash
        self._frame = self._window = clock(), 0

    def resume_headers(self) -> dict[str, str]:
        """Ask for the rest only, and only while the file is still the same; anew where that cannot be told."""
        return {"range": f"bytes={self._done}-", "if-range": self._tag} if self._done and self._tag else {}

    def begin(self, answer: Answer) -> None:
        """Blocking. Raises Refused for an answer without the file, or a file without room."""
        length = _number(answer.headers.get("content-length"))
        if answer.status == 206 and answer.headers.get("content-range", "").startswith(f"bytes {self._done}-"):
            self._total = self._done + length if length is not None else None
        else:
            if answer.status == 416 and self._done:
                self._begin_anew(None)
                raise ConnectionError("Download URL failed: the file has changed.")
            check_status(answer)
            self._begin_anew(length)
        tag = answer.headers.get("etag", "")
        self._tag = tag if tag and not tag.startswith("W/") else None
        self._keep()
        told = _HASH.fullmatch(answer.seen.get("x-linked-etag", ""))
        self._hash = self._known or (told[1] if told else None)
        self._frame = self._window = self._clock(), self._done
        if self._total is not None and self._total > MAX_BYTES:
            raise Spoilt("Failed to download URL: the file is too large.")
        self._check_room((self._total or 0) - self._done)

    def _begin_anew(self, total: int | None) -> None:
        self._done, self._kept, self._total, self._tag, self._digest = 0, 0, total, None, sha256()
        self._file.seek(0)
        self._file.truncate()

    def take(self, chunk: bytes) -> bool:
        """Whether there is enough to be written."""
        self._waiting += chunk
        now = self._clock()
        if now - self._window[0] >= _WINDOW_SECONDS:
            if self._seen - self._window[1] < SLOWEST:
                raise TimeoutError("The other side sends too slowly.")
            self._window = now, self._seen
        return len(self._waiting) >= _BLOCK

    def flush(self) -> None:
        """Blocking."""
        data = bytes(self._waiting)
        self._waiting.clear()
        self._done += len(data)
        if self._done > MAX_BYTES or (self._total is not None and self._done > self._total):
            raise Spoilt("Failed to download URL: more came than was announced.")
        self._check_room(len(data))
        self._file.write(data)
        self._file.flush()
        if self._digest is not None:
            self._digest.update(data)
        if self._done - self._kept >= _KEEP_EVERY:
            self._keep()

    def save(self) -> None:
        """Write what has come, on the way out, to be taken up later. At most a block; never raises."""
        with suppress(OSError, Refused):
            self.flush()
            self._keep()

    def _keep(self) -> None:
        """What is written is on the disk, and noted to be."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._kept = self._done
        self._part.note(self._tag, self._done)

    def progress(self) -> Progress | None:
        """About once a second."""
        now, (then, before) = self._clock(), self._frame
        if now - then < _FRAME_SECONDS:
            return None
        self._frame = now, self._seen
        share = min(self._seen / self._total, 1.0) if self._total else 0.0
        return Progress(share=share, per_second=int((self._seen - before) / (now - then)))

    def check_length(self) -> None:
        if self._total is not None and self._done != self._total:
            raise ConnectionError(f"Download URL failed: expected {self._total} bytes but got {self._done} bytes.")

    def check_hash(self) -> None:
        """Against what is known, or what the host says, that the file's hash is. Blocking. Raises Spoilt."""
        if self._hash is None:
            return
        if self._digest is None:
            self._file.seek(0)
            self._digest = file_digest(self._file, "sha256")
        if self._digest.hexdigest() != self._hash:
            raise Spoilt("Download URL failed: the file's hash is not the one that is announced.")

    @property
    def _seen(self) -> int:
        return self._done + len(self._waiting)

    def _check_room(self, more: int) -> None:
        if self._free() < max(more, 0) + SPARE_BYTES:
            raise Refused("There is not enough room on the disk for this model.")


def check_status(answer: Answer) -> None:
    if answer.status != 200:
        phrase = HTTPStatus(answer.status).phrase if answer.status in set(HTTPStatus) else ""
        name = phrase.title().replace(" ", "").replace("-", "")
        raise Refused(f"Failed to download URL: got response code {answer.status} {name}".rstrip())


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch("[0-9]{1,18}", text) else None
