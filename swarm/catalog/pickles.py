"""Pickled models made into safetensors files beside them, by a confined child process (swarm-core 7.2). Blocking."""

from __future__ import annotations

import logging
import re
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.base.atomic import place_whole
from swarm.base.errors import BadInput, Refused, UserError
from swarm.base.sandbox import run_confined
from swarm.catalog.headers import read_header
from swarm.catalog.sets import LEGACY, extension

_MODULE = "swarm.engine.apart.unpickle"
_SECONDS = 1800.0
_SAFE_TORCH = (2, 10)
_SPARE_BYTES = 512 * 1024 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What became of the pickles of a set: new files, and sentences about those that could not be converted."""

    made: tuple[Path, ...]
    failed: tuple[str, ...]


class Pickles:
    """One conversion at a time, for each needs about twice a model's size in memory.

    `problem`: why none can be made here, see `torch_problem`.
    """

    def __init__(self, problem: str | None = None) -> None:
        self._turn = threading.Lock()
        self._problem = problem

    def convert_all(self, folders: Sequence[Path], *, half: bool) -> Converted:
        """Convert every pickle below the folders that has no safetensors file beside it. The pickles stay.

        Raises Refused where torch is too old.
        """
        if self._problem is not None:
            raise Refused(self._problem)
        made, failed = [], []
        with self._turn:
            for path in sorted(file for folder in folders for file in folder.rglob("*") if _is_pickle(file)):
                target = path.with_suffix(".safetensors")
                if target.exists():
                    continue
                try:
                    convert(path, target, half=half)
                    made.append(target)
                    _log.info("Converted %s to %s.", path.name, target.name)
                except UserError as error:
                    failed.append(error.sentence)
                    _log.warning("%s", error.sentence)
        return Converted(made=tuple(made), failed=tuple(failed))


def torch_problem(version: str) -> str | None:
    """Why the torch of this version must not be given a pickle; None when it may read them, confined."""
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is not None and (int(found[1]), int(found[2])) >= _SAFE_TORCH:
        return None
    return (
        f"Pickled models are not converted here: torch {version} can be tricked into running what is in them. "
        "Delete .venv and start launch.py again, which installs a newer one."
    )


def convert(source: Path, target: Path, *, half: bool) -> None:
    """Convert one pickle: `target` appears whole and readable, or not at all. Raises Refused with a sentence."""
    size = source.stat().st_size
    if shutil.disk_usage(target.parent).free < size + _SPARE_BYTES:
        raise Refused(f"There is not enough room on the disk to convert {source.name}.")
    try:
        with place_whole(target) as unfinished:
            with source.open("rb") as reading, unfinished.open("xb") as writing:
                files = reading.fileno(), writing.fileno()
                arguments = [*map(str, files), *(["--half"] if half else [])]
                result = run_confined(_MODULE, arguments, files=files, seconds=_SECONDS)
            if result.code != 0:
                reason = result.said or "the process that read it was ended"
                raise Refused(f"{source.name} was not converted: {reason}.")
            read_header(unfinished, target.name)
    except TimeoutError:
        raise Refused(f"{source.name} was not converted: it took too long.") from None
    except BadInput as error:
        raise Refused(f"{source.name} was not converted: {error.sentence}") from None
    except OSError as error:
        raise Refused(f"{source.name} was not converted: {error.strerror or error}.") from None


def _is_pickle(path: Path) -> bool:
    return extension(path.name).lower() in LEGACY and not path.name.startswith(".") and path.is_file()
