"""The models on this machine: found, described, looked up by name. A name becomes a path only by being found here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import chain, islice
from math import inf
from pathlib import Path
from types import MappingProxyType

from anyio import CapacityLimiter

from swarm.architectures.architecture import Architecture
from swarm.base.database import Database
from swarm.base.errors import BadInput
from swarm.catalog.cache import ModelCache
from swarm.catalog.examine import LISTED, Examined, examine
from swarm.catalog.hashing import can_be_hashed, tensor_hash
from swarm.catalog.model import ModelEntry
from swarm.catalog.previews import Previews
from swarm.catalog.scan import Found, Scanner
from swarm.catalog.sets import CHECKPOINTS, SETS, ModelSet
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture

logger = logging.getLogger(__name__)

_AT_ONCE = 100
Shelf = Mapping[str, ModelEntry]
_RECORDS = "1"  # part of every stamp; raise it when what is learnt from a file changes
_ALSO_CREATED = ("upscale_models", "clip", "tensorrt", "diffusion_models")


class Catalog:
    """All model sets. `refresh` and what reads files or sqlite block; lookups answer from the last refresh.

    A first look at many thousand files takes a while. So `refresh` may be told to list only, past some seconds, what it
    has never seen; `read_more` then looks into those files bit by bit, and a model that is asked for before is looked
    into at once.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        architectures: Mapping[str, Architecture],
        database: Database,
        clock: Callable[[], float],
        sets: Sequence[ModelSet] = SETS,
        home: int = 0,
    ) -> None:
        """`roots`: where model folders are; new ones are made below number `home`, counted round and round."""
        self._roots = tuple(roots)
        self._sets = {one.id: one for one in sets}
        self._home = self._roots[abs(home) % len(self._roots)] if self._roots else None
        self._architectures = architectures
        self._cache = ModelCache(database)
        self._previews = Previews(self._cache)
        self._clock = clock
        self._refreshing = threading.Lock()
        self.hashers = CapacityLimiter(1)
        self._hashing = threading.Lock()
        self._hashes: dict[str, tuple[str, str]] = {}
        self._unread: dict[Path, Found] = {}
        self._shelves: Mapping[str, Shelf] = {one.id: MappingProxyType({}) for one in sets}
        self._borrowed: Mapping[str, Sequence[ModelEntry]] = {}
        kinds = "\n".join(sorted(architectures))
        self._stamp_prefix = f"{_RECORDS}:{sha256(kinds.encode()).hexdigest()[:12]}:"
        self.refreshed_at = 0.0

    @property
    def progress(self) -> tuple[int, int] | None:
        """(files looked into, all files) while some are only listed, else None."""
        total = sum(len(shelf) for shelf in self._shelves.values())
        return (total - len(self._unread), total) if self._unread else None

    @property
    def roots(self) -> tuple[Path, ...]:
        """Below which folders models lie: the models roots, and folders of sets that lie elsewhere."""
        elsewhere = [Path(name) for one in self._sets.values() for name in one.folders if Path(name).is_absolute()]
        return (*self._roots, *elsewhere)

    @property
    def architectures(self) -> Mapping[str, Architecture]:
        """Every class a model may be of, by id."""
        return self._architectures

    def download_folder(self, subtype: str, *, bare: bool = False) -> Path:
        """Where new files of a set go; `bare`: denoiser weights only, which have a folder of their own."""
        name = "diffusion_models" if bare and subtype == CHECKPOINTS else self._sets[subtype].folders[0]
        return (self._home or Path()) / name

    def folders(self, subtype: str) -> list[Path]:
        """Where the files of a set lie, as far as the folders exist, in the order in which their names win."""
        return self._folders(self._sets[subtype])

    def name_of(self, path: Path) -> str:
        """What a file is called in its set, there or not: its path below the set's folder; else its own name."""
        folders = [root / name for root in self._roots for one in self._sets.values() for name in one.folders]
        above = [folder for folder in folders if path.is_relative_to(folder)]
        return path.relative_to(max(above, key=lambda folder: len(folder.parts))).as_posix() if above else path.name

    def sets(self) -> tuple[str, ...]:
        """Ids of the model sets, in the wire's order."""
        return tuple(self._shelves)

    def entries(self, subtype: str) -> list[ModelEntry]:
        """The models of a set, by name; empty for an unknown set."""
        return list(self._shelves.get(subtype, {}).values())

    def names(self, subtype: str) -> list[str]:
        """Names with extension, sorted."""
        return list(self._shelves.get(subtype, {}))

    def find(self, subtype: str, name: str) -> ModelEntry | None:
        """A model by its exact name, with or without `.safetensors`."""
        shelf = self._shelves.get(subtype, {})
        return shelf.get(name + ".safetensors") or shelf.get(name)

    def wire_models(self) -> dict[str, list[list[str | None]]]:
        """`models` of ListT2IParams: per set, [name, class id or None]."""
        return {
            subtype: [[entry.name, entry.architecture.id if entry.architecture else None] for entry in shelf.values()]
            for subtype, shelf in self._shelves.items()
        }

    def model_file(self, entry: ModelEntry) -> ModelFile:
        """What a backend needs to load it. Raises BadInput with a sentence when the file cannot be used."""
        if entry.path in self._unread:
            self._read([entry.path])
            entry = self.find(entry.subtype, entry.name) or entry
        if entry.problem is not None:
            raise BadInput(entry.problem)
        family = entry.architecture.id if entry.architecture is not None else None
        prediction = entry.info.prediction_type or ""
        return ModelFile(
            name=entry.name,
            path=entry.path,
            family=family,
            stamp=f"{entry.stamp} {prediction}".rstrip(),
            prediction=prediction,
            width=entry.width,
            height=entry.height,
            latent_space=entry.latent_space,
            remote=entry.is_remote,
        )

    def known_hash(self, entry: ModelEntry) -> str | None:
        """The hash if it was computed, or stands in the metadata."""
        stamp, hash = self._hashes.get(str(entry.path), ("", ""))
        return hash if stamp == entry.stamp else entry.info.hash or None

    def must_be_hashed(self, entry: ModelEntry) -> bool:
        """Whether its hash is not known yet and can be had by reading the file."""
        is_readable = entry.problem is None and not entry.is_folder and not entry.is_remote
        return is_readable and can_be_hashed(entry.name) and self.known_hash(entry) is None

    def model_hash(self, entry: ModelEntry) -> str | None:
        """`0x` and the SHA-256 of the tensor data, remembered; None for formats without.

        Blocking, and reading a large model takes a minute: where it must be hashed, ask under `hashers`.
        """
        if not self.must_be_hashed(entry):
            return self.known_hash(entry)
        with self._hashing:
            known = self.known_hash(entry)
            return known if known is not None else self._hashed(entry)

    def _hashed(self, entry: ModelEntry) -> str | None:
        try:
            hash = tensor_hash(entry.path, entry.name)
        except OSError as error:
            logger.warning("The model %s cannot be hashed: %s", entry.path, error)
            return None
        if hash is not None:
            self._cache.remember_hash(entry.path, entry.stamp, hash)
            self._hashes[str(entry.path)] = entry.stamp, hash
        return hash

    def preview(self, entry: ModelEntry) -> Picture | None:
        """The model's picture: from its metadata, else the file beside it, made small. Blocking."""
        return self._previews.of(entry)

    def read_anew(self) -> None:
        """Forget what was learnt about files, and open all of them again. Blocking."""
        self._cache.clear()
        self.refresh()

    def lend(self, lender: str, models: Sequence[ModelEntry]) -> None:
        """The models that another machine has, in place of those it had before; ours win a name that both have."""
        self._borrowed = {**self._borrowed, lender: tuple(models)}
        self._shelves = self._with_borrowed(self._shelves)

    def _with_borrowed(self, shelves: Mapping[str, Shelf]) -> Mapping[str, Shelf]:
        """What lies on these shelves here, and what others have besides."""
        full = {
            subtype: {name: entry for name, entry in shelf.items() if not entry.is_remote}
            for subtype, shelf in shelves.items()
        }
        for one in chain.from_iterable(self._borrowed.values()):
            full.setdefault(one.subtype, {}).setdefault(one.name, one)
        return {subtype: MappingProxyType(_sorted(shelf)) for subtype, shelf in full.items()}

    def refresh(self, *, patience: float = inf) -> None:
        """Look at the disk again; only files that changed are opened. Blocking; one at a time.

        `patience`: seconds after which files that are not known yet are only listed, for `read_more` to look into.
        """
        with self._refreshing:
            deadline = self._clock() + patience
            self._make_folders()
            found = self._scan()
            known = self._cache.records()
            learnt: list[tuple[Found, Examined]] = []
            unread: dict[Path, Found] = {}
            shelves: dict[str, dict[str, ModelEntry]] = {subtype: {} for subtype in self._sets}
            for one in found:
                stamp, record = known.get(str(one.path), ("", b""))
                if stamp == self._stamp_prefix + one.stamp:
                    examined = Examined.of_record(record)
                elif self._clock() < deadline:
                    examined = examine(one, self._architectures)
                    learnt.append((one, examined))
                else:
                    examined = LISTED
                    unread[one.path] = one
                shelves[one.subtype][one.name] = self._entry(one, examined)
            self._remember(learnt, gone=sorted(set(known) - {str(one.path) for one in found}))
            self._hashes = self._cache.hashes()
            self._shelves = self._with_borrowed(shelves)
            self._unread = unread
            self.refreshed_at = self._clock()

    def read_more(self, seconds: float = 0.5) -> bool:
        """Look into listed files for so long; False when there is nothing left to look into. Blocking."""
        deadline = self._clock() + seconds
        while waiting := list(islice(self._unread, _AT_ONCE)):
            self._read(waiting)
            if self._clock() >= deadline:
                break
        return bool(self._unread)

    def _read(self, paths: Sequence[Path]) -> None:
        """Look into these files, if they are only listed so far."""
        with self._refreshing:
            found = [self._unread[path] for path in paths if path in self._unread]
            learnt = [(one, examine(one, self._architectures)) for one in found]
            self._remember(learnt, gone=())
            shelves = {subtype: dict(shelf) for subtype, shelf in self._shelves.items()}
            for one, examined in learnt:
                shelves[one.subtype][one.name] = self._entry(one, examined)
            self._shelves = {subtype: MappingProxyType(shelf) for subtype, shelf in shelves.items()}
            for path in paths:
                self._unread.pop(path, None)

    def _remember(self, learnt: Sequence[tuple[Found, Examined]], *, gone: Sequence[str]) -> None:
        if learnt or gone:
            prefix = self._stamp_prefix
            rows = [(one.path, prefix + one.stamp, it.to_record(), it.preview) for one, it in learnt]
            self._cache.update(rows, gone)

    def _entry(self, found: Found, examined: Examined) -> ModelEntry:
        return ModelEntry(
            subtype=found.subtype,
            name=found.name,
            path=found.path,
            found_in=found.found_in,
            mtime_ns=found.mtime_ns,
            created_ns=found.created_ns,
            size=found.size,
            info=examined.info,
            architecture=self._architectures.get(examined.family or ""),
            problem=examined.problem,
            preview_file=found.preview_file,
            is_folder=found.is_folder,
        )

    def _scan(self) -> list[Found]:
        """Every model once: a name that comes again in a later folder of its set is another copy, not another model."""
        folders = [(one, folder) for one in self._sets.values() for folder in self._folders(one)]
        scanner = Scanner([*self._roots, *(folder for _, folder in folders)])
        found: dict[tuple[str, str], Found] = {}
        for one, folder in folders:
            for model in scanner.scan(one.id, folder):
                found.setdefault((model.subtype, model.name), model)
        return list(found.values())

    def _folders(self, one: ModelSet) -> list[Path]:
        """In the order of 1.1: for each root each folder. On disks that ignore case two spellings are one folder."""
        folders = [root / name for root in self._roots for name in one.folders]
        return list({folder.resolve(): folder for folder in reversed(folders) if folder.is_dir()}.values())[::-1]

    def _make_folders(self) -> None:
        if self._home is None:
            return
        for name in (*(one.folders[0] for one in self._sets.values()), *_ALSO_CREATED):
            try:
                (self._home / name).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                logger.warning("The models folder %s cannot be made: %s", self._home / name, error)


def _sorted(shelf: Mapping[str, ModelEntry]) -> dict[str, ModelEntry]:
    return {name: shelf[name] for name in sorted(shelf, key=lambda name: (name.lower(), name))}
