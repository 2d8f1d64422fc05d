"""Which models lie in a folder: one scandir walk, no file is opened.

Names starting with a dot are skipped. Links are followed only while they stay inside the models roots.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.catalog.sets import CHECKPOINTS, LEGACY, NATIVE, extension, stem

logger = logging.getLogger(__name__)

SIDECARS = (".swarm.json", ".json", ".cm-info.json", ".civitai.info")
PREVIEWS = (
    ".swarm.jpg",
    ".jpg",
    ".png",
    ".preview.png",
    ".preview.jpg",
    ".jpeg",
    ".preview.jpeg",
    ".thumb.jpg",
    ".thumb.png",
)
PIPELINE_INDEX = "model_index.json"
_ENDINGS = frozenset(NATIVE + LEGACY)
_MAX_DEPTH = 50
_ODD = frozenset('\n\t,%*"<>')


@dataclass(frozen=True, kw_only=True)
class Found:
    """A model on disk. `stamp` covers the file and its sidecars, so that editing a sidecar counts as a change."""

    subtype: str
    name: str
    path: Path
    found_in: Path
    mtime_ns: int
    created_ns: int
    size: int
    stamp: str
    sidecars: tuple[Path, ...] = ()
    preview_file: Path | None = None
    is_folder: bool = False


class Scanner:
    """Walks set folders. `roots`: real paths that links may lead to."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = [os.path.realpath(root) for root in roots]

    def scan(self, subtype: str, folder: Path) -> Iterator[Found]:
        """Every model of a set below one folder; nothing when the folder is not there."""
        real = os.path.realpath(folder)
        if Path(real).is_dir():
            yield from self._walk(subtype, folder, "", folder, (real,))

    def _walk(self, subtype: str, top: Path, prefix: str, folder: Path, trail: tuple[str, ...]) -> Iterator[Found]:
        """`trail`: the real folders above, to notice a link that leads back up."""
        try:
            with os.scandir(folder) as listing:
                entries = {entry.name: entry for entry in listing if _is_shown(entry)}
        except OSError as error:
            logger.warning("The models folder %s cannot be read: %s", folder, error)
            return
        if prefix and subtype == CHECKPOINTS and PIPELINE_INDEX in entries:
            yield from self._pipeline(subtype, top, prefix.rstrip("/"), folder, entries[PIPELINE_INDEX])
            return
        for name in sorted(entries):
            entry = entries[name]
            if entry.is_symlink() and not self._stays_inside(entry):
                continue
            if entry.is_dir():
                real = os.path.realpath(entry.path)
                if real not in trail and len(trail) < _MAX_DEPTH:
                    yield from self._walk(subtype, top, f"{prefix}{name}/", folder / name, (*trail, real))
            elif extension(name) in _ENDINGS:
                yield from self._file(subtype, top, prefix, entry, entries)

    def _stays_inside(self, entry: os.DirEntry[str]) -> bool:
        real = Path(os.path.realpath(entry.path))
        inside = any(real.is_relative_to(root) for root in self._roots)
        if not inside:
            logger.warning("The link %s leads out of the models folders and is not followed.", entry.path)
        return inside

    def _file(
        self, subtype: str, top: Path, prefix: str, entry: os.DirEntry[str], beside: Mapping[str, os.DirEntry[str]]
    ) -> Iterator[Found]:
        name = entry.name
        if name == "unquantized_layers.safetensors" and "comfy_config.json" in beside:
            return
        if _ODD & set(name):
            logger.warning("The model name %r has characters that prompts and paths cannot spell.", prefix + name)
        base = stem(name)
        sidecars = [beside[base + suffix] for suffix in SIDECARS if base + suffix in beside]
        sidecars = [sidecar for sidecar in sidecars if sidecar.is_file() and self._may_read(sidecar)]
        previews = [beside[base + suffix] for suffix in PREVIEWS if base + suffix in beside]
        previews = [preview for preview in previews if self._may_read(preview)]
        stats = [stat for stat in map(_stat, (entry, *sidecars)) if stat is not None]
        if not entry.is_file() or len(stats) != 1 + len(sidecars):
            return
        yield Found(
            subtype=subtype,
            name=prefix + name,
            path=Path(entry.path),
            found_in=top,
            mtime_ns=stats[0].st_mtime_ns,
            created_ns=stats[0].st_ctime_ns,
            size=stats[0].st_size,
            stamp=",".join(f"{stat.st_mtime_ns}-{stat.st_size}" for stat in stats),
            sidecars=tuple(Path(sidecar.path) for sidecar in sidecars),
            preview_file=Path(previews[0].path) if previews else None,
        )

    def _may_read(self, entry: os.DirEntry[str]) -> bool:
        return not entry.is_symlink() or self._stays_inside(entry)

    def _pipeline(self, subtype: str, top: Path, name: str, folder: Path, index: os.DirEntry[str]) -> Iterator[Found]:
        """A diffusers folder: one model, whatever lies below it."""
        stat = _stat(index)
        if stat is None or not self._may_read(index):
            return
        yield Found(
            subtype=subtype,
            name=name,
            path=folder,
            found_in=top,
            mtime_ns=stat.st_mtime_ns,
            created_ns=stat.st_ctime_ns,
            size=stat.st_size,
            stamp=f"{stat.st_mtime_ns}-{stat.st_size}",
            is_folder=True,
        )


def _is_shown(entry: os.DirEntry[str]) -> bool:
    """Hidden files are not, nor names that are not UTF-8: no client could spell them."""
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        logger.warning("The file %r has a name that is not UTF-8; it is left out.", entry.path)
        return False
    return not entry.name.startswith(".")


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """None for a file that went away meanwhile, or a link to nowhere."""
    try:
        return entry.stat()
    except OSError:
        return None
