"""Model files from the internet: fetched beside their place, checked, and only then put there."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

import anyio

from swarm.base.atomic import write_whole
from swarm.base.errors import BadInput, Refused, UserError
from swarm.base.json import Json, dumps, loads
from swarm.base.outgoing import Answer, Outgoing
from swarm.base.paths import clean_file_name, under
from swarm.base.tasks import to_thread
from swarm.catalog.catalog import Catalog
from swarm.catalog.gguf import MAGIC as GGUF_MAGIC
from swarm.catalog.headers import read_header
from swarm.catalog.sets import CHECKPOINTS

logger = logging.getLogger(__name__)

HOSTS = ("huggingface.co", "hf.co", "civitai.com", "civitai.red")
STORAGE_HOSTS = ("r2.cloudflarestorage.com", "backblazeb2.com")
"""Where the usual hosts keep their files: redirects may lead there, addresses that people give may not."""

RESUMES = 4
SPARE_BYTES = 512 * 1024 * 1024
MAX_BYTES = 1024**4
SLOWEST = 64 * 1024
_WINDOW_SECONDS = 300.0
_FRAME_SECONDS = 1.0
_BLOCK = 1024 * 1024
_MAX_METADATA = 16 * 1024 * 1024
_HASH = re.compile(r'"?([0-9a-f]{64})"?')


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a download is. `share`: 0 to 1, 0 while the size is unknown. `per_second`: bytes."""

    share: float
    per_second: int

    def to_wire(self) -> Mapping[str, Json]:
        return {"current_percent": self.share, "overall_percent": 0.2, "per_second": self.per_second}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A download that may start. `headers`: for the host of `url` only. `sidecar`: the metadata to keep, or None."""

    url: str
    subtype: str
    target: Path
    sidecar: bytes | None
    headers: Mapping[str, str]


class Downloads:
    """`hosts`: what the owner added to the allowed hosts. `clock`: seconds, for speed. `free`: bytes left on a disk.
    `pause`: seconds before a broken download is taken up again."""

    def __init__(
        self,
        catalog: Catalog,
        outgoing: Outgoing,
        clock: Callable[[], float],
        *,
        hosts: Callable[[], Sequence[str]] = tuple,
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        pause: float = 1.0,
    ) -> None:
        self._catalog = catalog
        self._outgoing = outgoing
        self._clock = clock
        self._hosts = hosts
        self._free = free
        self._pause = pause
        self._running: set[Path] = set()

    def wanted(self, url: str, subtype: str, name: str, metadata: str | None, keys: Mapping[str, str | None]) -> Wanted:
        """Check what was asked. Blocking. `keys`: the user's API keys by type. Raises BadInput with the wire's text."""
        if not url.startswith(("http://", "https://")):
            raise BadInput("Invalid URL.")
        cleaned = clean_file_name(name.replace(" ", "_"))
        if not cleaned:
            raise BadInput("Invalid empty name.")
        if subtype not in self._catalog.sets():
            raise BadInput("Invalid type.")
        is_gguf = url.endswith(".gguf")
        folder = self._catalog.download_folder(subtype, bare=is_gguf and subtype == CHECKPOINTS)
        target = under(folder, f"{cleaned}.{'gguf' if is_gguf else 'safetensors'}")
        if target.exists() or target in self._running:
            raise BadInput("Model at that save path already exists.")
        address, headers = _with_key(url.partition("#")[0], keys)
        return Wanted(url=address, subtype=subtype, target=target, sidecar=_checked_metadata(metadata), headers=headers)

    async def fetch(self, wanted: Wanted) -> AsyncGenerator[Progress, None]:
        """Download, check, and put in place; how far it is, about once a second. Leaving it early removes what was
        fetched. Raises UserError with a sentence."""
        partial = wanted.target.with_name(wanted.target.name.rpartition(".")[0] + ".download.tmp")
        if wanted.target in self._running:
            raise BadInput("Model at that save path already exists.")
        self._running.add(wanted.target)
        try:
            async with aclosing(self._fetched(wanted, partial)) as steps:
                async for step in steps:
                    yield step
            await to_thread(self._put_in_place, wanted, partial)
        except OSError as error:
            logger.warning("The download to %s failed: %s", wanted.target, error)
            raise Refused(f"Failed to download the model: {error.strerror or error}.") from None
        finally:
            self._running.discard(wanted.target)
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    async def json(self, url: str, *, hosts: Sequence[str]) -> Json:
        """A JSON document of another server. Raises UserError, OSError, TimeoutError."""
        async with self._outgoing.get(url, hosts=hosts) as answer:
            _check_status(answer)
            data = bytearray()
            async for chunk in answer.body:
                data += chunk
                if len(data) > _MAX_METADATA:
                    raise Refused("The answer is too long.")
        return loads(bytes(data))

    async def _fetched(self, wanted: Wanted, partial: Path) -> AsyncGenerator[Progress, None]:
        await to_thread(wanted.target.parent.mkdir, parents=True, exist_ok=True)
        with await to_thread(partial.open, "wb") as file:
            transfer = _Transfer(file, self._clock, lambda: self._free(partial.parent))
            yield Progress(share=0.0, per_second=0)
            for attempt in range(RESUMES + 1):
                try:
                    async with aclosing(self._attempt(wanted, transfer)) as steps:
                        async for step in steps:
                            yield step
                    break
                except (ConnectionError, TimeoutError) as error:
                    await to_thread(transfer.flush)
                    if attempt == RESUMES:
                        raise Refused(str(error) if error.args else "Failed to download URL.") from None
                    await anyio.sleep(self._pause)
                    logger.warning("The download to %s broke off and is taken up again: %s", wanted.target, error)
            transfer.check_hash()

    async def _attempt(self, wanted: Wanted, transfer: _Transfer) -> AsyncGenerator[Progress, None]:
        hosts = (*HOSTS, *self._hosts())
        headers = {**wanted.headers, **transfer.resume_headers()}
        async with self._outgoing.get(wanted.url, headers=headers, hosts=hosts, redirect_hosts=STORAGE_HOSTS) as answer:
            await to_thread(transfer.begin, answer)
            async for chunk in answer.body:
                if transfer.take(chunk):
                    await to_thread(transfer.flush)
                if (step := transfer.progress()) is not None:
                    yield step
            await to_thread(transfer.flush)
            transfer.check_length()

    def _put_in_place(self, wanted: Wanted, partial: Path) -> None:
        """Blocking. Raises BadInput when what came is no model."""
        name = wanted.target.name
        read_header(partial, name)
        with partial.open("rb") as file:
            if (file.read(4) == GGUF_MAGIC) != name.endswith(".gguf"):
                raise BadInput(f"What was downloaded as '{name}' is a model file of another format.")
        if wanted.target.exists():
            raise BadInput("Model at that save path already exists.")
        if wanted.sidecar is not None:
            write_whole(wanted.target.with_name(name.rpartition(".")[0] + ".swarm.json"), wanted.sidecar)
        partial.rename(wanted.target)
        self._catalog.refresh()


class _Transfer:
    """The bytes so far, over several attempts."""

    def __init__(self, file: BinaryIO, clock: Callable[[], float], free: Callable[[], int]) -> None:
        self._file = file
        self._clock = clock
        self._free = free
        self._waiting = bytearray()
        self._digest = sha256()
        self._done = 0
        self._total: int | None = None
        self._tag: str | None = None
        self._hash: str | None = None
        self._frame = self._window = clock(), 0

    def resume_headers(self) -> dict[str, str]:
        """Ask for the rest only, and only while the file is still the same; anew where that cannot be told."""
        return {"range": f"bytes={self._done}-", "if-range": self._tag} if self._done and self._tag else {}

    def begin(self, answer: Answer) -> None:
        """Raises Refused for an answer without the file, or a file without room."""
        length = _number(answer.headers.get("content-length"))
        if answer.status == 206 and answer.headers.get("content-range", "").startswith(f"bytes {self._done}-"):
            self._total = self._done + length if length is not None else None
        else:
            _check_status(answer)
            self._done, self._total, self._digest = 0, length, sha256()
            self._file.seek(0)
            self._file.truncate()
        tag = answer.headers.get("etag", "")
        self._tag = tag if tag and not tag.startswith("W/") else None
        told = _HASH.fullmatch(answer.seen.get("x-linked-etag", ""))
        self._hash = told[1] if told else None
        self._frame = self._window = self._clock(), self._done
        if self._total is not None and self._total > MAX_BYTES:
            raise Refused("Failed to download URL: the file is too large.")
        self._check_room((self._total or 0) - self._done)

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
            raise Refused("Failed to download URL: more came than was announced.")
        self._check_room(len(data))
        self._file.write(data)
        self._file.flush()
        self._digest.update(data)

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
        """Against what the host says the file's hash is, if it says so."""
        if self._hash is not None and self._digest.hexdigest() != self._hash:
            raise Refused("Download URL failed: the file's hash is not the one that the host announces.")

    @property
    def _seen(self) -> int:
        return self._done + len(self._waiting)

    def _check_room(self, more: int) -> None:
        if self._free() < max(more, 0) + SPARE_BYTES:
            raise Refused("There is not enough room on the disk for this model.")


def _check_status(answer: Answer) -> None:
    if answer.status != 200:
        phrase = HTTPStatus(answer.status).phrase if answer.status in set(HTTPStatus) else ""
        name = phrase.title().replace(" ", "").replace("-", "")
        raise Refused(f"Failed to download URL: got response code {answer.status} {name}".rstrip())


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch("[0-9]{1,18}", text) else None


def _with_key(url: str, keys: Mapping[str, str | None]) -> tuple[str, dict[str, str]]:
    """(url, headers) with the user's key for the service it belongs to."""
    for prefix in ("https://civitai.com/", "https://civitai.red/"):
        if url.startswith(prefix):
            url = "https://civitai.red/" + url.removeprefix(prefix)
            key = _plain(keys.get("civitai_api"))
            if key and "token=" not in url:
                url += f"{'&' if '?' in url else '?'}token={key}"
            return url, {}
    key = _plain(keys.get("huggingface_api"))
    return url, {"authorization": f"Bearer {key}"} if key and url.startswith("https://huggingface.co/") else {}


def _plain(key: str | None) -> str:
    return re.sub(r"[^A-Za-z0-9 \-_.,/]", "", key or "")


def _checked_metadata(text: str | None) -> bytes | None:
    if text is None or not text.strip():
        return None
    try:
        content: Any = loads(text) if len(text) <= _MAX_METADATA else None
    except UserError:
        content = None
    if not isinstance(content, dict):
        raise BadInput("The metadata of the model is not a JSON object.")
    return dumps(content)
