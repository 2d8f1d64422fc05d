"""Pictures written to disk: named without collisions, complete or not at all, found again by the history."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from swarm.base.atomic import make_folder, sweep, write_whole
from swarm.base.clock import Clock
from swarm.base.errors import NotFound, Refused
from swarm.base.paths import clean_file_name, clean_output_path, is_hidden, open_under, under
from swarm.media.formats import Encoded
from swarm.media.image import guess_mime
from swarm.outputs.files import OUTPUT_ENDINGS, SIDECAR_SUFFIXES, sidecar
from swarm.outputs.index import HistoryIndex
from swarm.outputs.names import FolderNames
from swarm.outputs.naming import candidates
from swarm.outputs.places import Places
from swarm.outputs.usage import DiskUse, blocks

logger = logging.getLogger(__name__)

_REMEMBERED_COUNTERS = 1000
_REMEMBERED_DELETED = 10_000
_ENDINGS = ("", *(f".{ending}" for ending in OUTPUT_ENDINGS), *SIDECAR_SUFFIXES)


@dataclass(frozen=True, kw_only=True)
class SaveRequest:
    """A picture to save. `tokens`: values for the path template. `sidecar`: write the metadata beside it in any case
    (it is also written when the file could not hold it). `allow_unsafe`: the template may use more characters. `job`:
    id of the job it was made for, and its number there, so that a restart does not make it again."""

    user_id: str
    template: str
    tokens: Mapping[str, str]
    max_part: int
    encoded: Encoded
    metadata: str | None
    sidecar: bool = False
    allow_unsafe: bool = False
    job: tuple[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A picture that is on disk. `url`: without leading slash, not percent-encoded. `relative`: to the user's root."""

    url: str
    relative: str
    path: Path


@dataclass
class _Shelf:
    """What one output folder must not hand out: names being written, and names deleted since the start.

    `counters`: by first candidate, how far its numbers are taken. `deleted`: the last ones.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    reserved: set[str] = field(default_factory=set)
    deleted: OrderedDict[str, None] = field(default_factory=OrderedDict)
    counters: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def count(self, first: str, number: int) -> None:
        """Remember how far the numbers of a name are taken; most names have none."""
        if number == 0:
            return
        self.counters[first] = number
        self.counters.move_to_end(first)
        if len(self.counters) > _REMEMBERED_COUNTERS:
            self.counters.popitem(last=False)

    def bury(self, stem: str) -> None:
        """The name was deleted and is not used again."""
        self.deleted[stem.casefold()] = None
        if len(self.deleted) > _REMEMBERED_DELETED:
            self.deleted.popitem(last=False)


class OutputStore:
    """The output folders. Synchronous and thread-safe; names are given out under a lock per folder, while encoding and
    writing happen outside of it.

    `max_bytes`: how much the folder of one user may hold, 0 for any amount.
    """

    def __init__(
        self,
        root: Path,
        *,
        append_user: bool,
        index: HistoryIndex,
        clock: Clock,
        places: Places | None = None,
        max_bytes: int = 0,
    ) -> None:
        self.root = root
        self.append_user = append_user
        self.index = index
        self.clock = clock
        self.places = places
        self.max_bytes = max_bytes
        self.trouble: str | None = None
        """Why the last picture could not be saved; None when it was."""
        self._use = DiskUse(clock)
        self._names = FolderNames()
        self._shelves: dict[Path, _Shelf] = {}
        self._lock = threading.Lock()

    def user_root(self, user_id: str) -> Path:
        """The folder that holds the user's pictures; it need not exist."""
        if not self.append_user:
            return self.root
        return self.root / (clean_file_name(user_id).replace("/", "") or "_")

    def refuse_beyond(self, user_id: str, wanted: int) -> None:
        """Raises Refused when `wanted` more bytes are more than the user's folder may hold."""
        limit = self.max_bytes
        if limit and not self._use.has_room(self.user_root(user_id), wanted, limit):
            raise Refused(f"Your pictures may take up {limit / 2**20:g} MiB, and do. Delete some of them to go on.")

    def save(self, request: SaveRequest) -> Saved:
        """Write the picture under a free name. Raises Refused when it could not be written, and then leaves nothing."""
        root = self.user_root(request.user_id)
        self.refuse_beyond(request.user_id, blocks(len(request.encoded.data)))
        try:
            make_folder(root)
            stem = self._reserve(root, request)
            try:
                saved = self._write(root, stem, request)
            except OSError:
                self._give_back(root, stem)
                raise
            finally:
                self._release(root, stem)
        except OSError as error:
            logger.error("A picture could not be saved below %s: %s", root, error)
            self.trouble = f"Pictures cannot be saved: {error.strerror or 'the folder cannot be written'}."
            raise Refused("Server failed to save an image.") from None
        self.trouble = None
        return saved

    def _reserve(self, root: Path, request: SaveRequest) -> str:
        """A relative path without extension that nobody else has or gets."""
        shelf = self._shelf(root)
        find = partial(candidates, request.template, request.tokens, max_part=request.max_part)
        first = next(find(allow_unsafe=request.allow_unsafe)).casefold()
        folders: dict[str, tuple[Path, set[str]]] = {}
        with shelf.lock:
            after = shelf.counters.get(first, 0)
            for number, stem in enumerate(find(allow_unsafe=request.allow_unsafe, after=after), after + (after > 0)):
                above, _, name = stem.rpartition("/")
                if above not in folders:
                    folder = under(root, stem).parent
                    folders[above] = folder, self._names.of(folder)
                (folder, names), key = folders[above], stem.casefold()
                if name.casefold() in names or key in shelf.reserved or key in shelf.deleted:
                    continue
                names.add(name.casefold())
                if not _is_there(folder, name):
                    shelf.reserved.add(key)
                    shelf.count(first, number)
                    return stem
        raise AssertionError("candidates() never ends")

    def _release(self, root: Path, stem: str) -> None:
        shelf = self._shelf(root)
        with shelf.lock:
            shelf.reserved.discard(stem.casefold())

    def _give_back(self, root: Path, stem: str) -> None:
        """Nothing came to be under this name; it is free again."""
        shelf, path = self._shelf(root), under(root, stem)
        with shelf.lock:
            self._names.of(path.parent).discard(path.name.casefold())

    def _write(self, root: Path, stem: str, request: SaveRequest) -> Saved:
        relative = f"{stem}.{request.encoded.extension}"
        path = under(root, relative)
        make_folder(path.parent)
        companions = _companions(path, request)
        owner = f"View/{root.name}" if self.append_user else "Output"
        saved = Saved(url=f"{owner}/{relative}", relative=relative, path=path)
        try:
            for beside, data in companions.items():
                write_whole(beside, data)
            self._announce(saved, request)
            write_whole(path, request.encoded.data)
        except OSError:
            for beside in companions:
                beside.unlink(missing_ok=True)
            raise
        self._use.add(root, sum(blocks(len(data)) for data in [request.encoded.data, *companions.values()]))
        text = request.metadata if sidecar(path) in companions or request.encoded.embedded else None
        self._note(path, text)
        return saved

    def _announce(self, saved: Saved, request: SaveRequest) -> None:
        """Write down where the picture of a job is about to appear."""
        if self.places is None or request.job is None:
            return
        try:
            self.places.note(*request.job, saved.url, saved.path)
        except sqlite3.Error as error:
            logger.warning("The place of %s was not noted; a crash now would make it twice: %s", saved.path.name, error)

    def _note(self, path: Path, text: str | None) -> None:
        """Tell the index. It is only a memory: if it cannot take the entry, the next list finds the file itself."""
        try:
            self.index.add(path, text)
        except (sqlite3.Error, OSError) as error:
            logger.warning("The history index did not take %s: %s", path.name, error)

    def read(self, user_id: str, relative: str) -> tuple[bytes, str] | None:
        """(bytes, mime) of a file in the user's folder; None if there is none. Raises BadInput for paths out of it."""
        cleaned = clean_output_path(relative)
        if is_hidden(cleaned):
            return None
        try:
            with open_under(self.user_root(user_id), cleaned) as file:
                data = file.read()
        except OSError:
            return None
        return data, guess_mime(data) or "application/octet-stream"

    def find(self, user_id: str, relative: str) -> Path | None:
        """The existing file a path of the history means. Raises BadInput for paths out of the user's folder."""
        cleaned = clean_output_path(relative)
        path = under(self.user_root(user_id), cleaned)
        return path if not is_hidden(cleaned) and path.is_file() else None

    def delete(self, user_id: str, relative: str) -> None:
        """Delete a picture and what belongs to it; its name is not used again in this run. Raises UserError."""
        path = self.find(user_id, relative)
        if path is None:
            raise NotFound("That file does not exist, cannot delete.")
        root = Path(under(self.user_root(user_id), ""))
        shelf = self._shelf(self.user_root(user_id))
        with shelf.lock:
            shelf.bury(path.relative_to(root).with_suffix("").as_posix())
            for each in (path, *(sidecar(path, suffix) for suffix in SIDECAR_SUFFIXES)):
                if each.is_file():
                    self._use.add(self.user_root(user_id), -blocks(each.stat().st_size))
                    each.unlink(missing_ok=True)
        self.index.forget(path)

    def sweep(self) -> int:
        """Remove files that earlier runs left unfinished; how many there were. For the start."""
        return sweep(self.root)

    def _shelf(self, root: Path) -> _Shelf:
        with self._lock:
            return self._shelves.setdefault(root, _Shelf())


def _companions(path: Path, request: SaveRequest) -> dict[Path, bytes]:
    """What is written beside the file, and before it."""
    found = {sidecar(path, suffix): data for suffix, data in request.encoded.beside.items()}
    if _needs_sidecar(request):
        found[sidecar(path)] = (request.metadata or "").encode()
    return found


def _needs_sidecar(request: SaveRequest) -> bool:
    has_text = bool(request.metadata and request.metadata.strip())
    return has_text and (request.sidecar or request.encoded.needs_sidecar)


def _is_there(folder: Path, name: str) -> bool:
    """Whether somebody else has put a file of this name there since the folder was listed."""
    return any(os.path.lexists(folder / f"{name}{ending}") for ending in _ENDINGS)
