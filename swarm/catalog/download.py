"""Model files from the internet: fetched beside their place, checked, and only then put there."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from swarm.base.atomic import write_whole
from swarm.base.errors import BadInput, Refused, UserError
from swarm.base.json import Json, dumps, loads
from swarm.base.outgoing import Outgoing
from swarm.base.paths import clean_file_name, under
from swarm.base.tasks import to_thread
from swarm.catalog.catalog import Catalog
from swarm.catalog.gguf import MAGIC as GGUF_MAGIC
from swarm.catalog.headers import read_header
from swarm.catalog.known_models import known_hash
from swarm.catalog.sets import CHECKPOINTS
from swarm.catalog.transfer import Part, Progress, Spoilt, Transfer, check_status

logger = logging.getLogger(__name__)

HOSTS = ("huggingface.co", "hf.co", "civitai.com", "civitai.red")
STORAGE_HOSTS = ("r2.cloudflarestorage.com", "backblazeb2.com")
"""Where the usual hosts keep their files: redirects may lead there, addresses that people give may not."""

RESUMES = 4
_MAX_METADATA = 16 * 1024 * 1024


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
        """Download, check, and put in place; how far it is, about once a second. What was fetched is kept when it is
        left early, or when the network fails, and taken up by the next call. Raises UserError with a sentence."""
        part = Part(wanted.target, wanted.url)
        if wanted.target in self._running:
            raise BadInput("Model at that save path already exists.")
        self._running.add(wanted.target)
        try:
            async with aclosing(self._fetched(wanted, part)) as steps:
                async for step in steps:
                    yield step
            await to_thread(self._put_in_place, wanted, part.path)
        except (BadInput, Spoilt):
            part.discard()
            raise
        except OSError as error:
            logger.warning("The download to %s failed: %s", wanted.target, error)
            raise Refused(f"Failed to download the model: {error.strerror or error}.") from None
        finally:
            self._running.discard(wanted.target)
            part.tidy()

    def discard(self, wanted: Wanted) -> None:
        """Remove what was fetched of a download that nobody wants any more. Blocking."""
        if wanted.target not in self._running:
            Part(wanted.target, wanted.url).discard()

    async def json(self, url: str, *, hosts: Sequence[str]) -> Json:
        """A JSON document of another server. Raises UserError, OSError, TimeoutError."""
        async with self._outgoing.get(url, hosts=hosts) as answer:
            check_status(answer)
            data = bytearray()
            async for chunk in answer.body:
                data += chunk
                if len(data) > _MAX_METADATA:
                    raise Refused("The answer is too long.")
        return loads(bytes(data))

    async def _fetched(self, wanted: Wanted, part: Part) -> AsyncGenerator[Progress, None]:
        await to_thread(wanted.target.parent.mkdir, parents=True, exist_ok=True)
        with await to_thread(part.open) as file:
            room = partial(self._free, part.path.parent)
            transfer = Transfer(part, file, self._clock, room, known_hash(wanted.url))
            yield Progress(share=0.0, per_second=0)
            try:
                async with aclosing(self._tried(wanted, transfer)) as steps:
                    async for step in steps:
                        yield step
                await to_thread(transfer.check_hash)
            finally:
                transfer.save()

    async def _tried(self, wanted: Wanted, transfer: Transfer) -> AsyncGenerator[Progress, None]:
        for attempt in range(RESUMES + 1):
            try:
                async with aclosing(self._attempt(wanted, transfer)) as steps:
                    async for step in steps:
                        yield step
                return
            except (ConnectionError, TimeoutError) as error:
                await to_thread(transfer.flush)
                if attempt == RESUMES:
                    raise Refused(str(error) if error.args else "Failed to download URL.") from None
                await anyio.sleep(self._pause)
                logger.warning("The download to %s broke off and is taken up again: %s", wanted.target, error)

    async def _attempt(self, wanted: Wanted, transfer: Transfer) -> AsyncGenerator[Progress, None]:
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
