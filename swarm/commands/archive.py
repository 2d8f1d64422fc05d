"""`python -m swarm backup` and `restore`: everything that cannot be made again, in one checked zip file.

Into the archive go the databases (copied while they may be in use) and the settings files, with a list of their
hashes. Pictures and models are not in it. Restoring needs the server stopped, and sets aside what it replaces.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from hashlib import file_digest
from pathlib import Path

from swarm import __version__
from swarm.base.atomic import make_folder, place_whole
from swarm.base.backup import copy_database, fault_in, stamp_of
from swarm.base.errors import BadInput, Refused, SwarmError
from swarm.base.json import dumps, loads
from swarm.cli import parse_options
from swarm.lock import FolderLock

DATABASES = ("swarm.db", "index.db")
SETTINGS = ("Settings.fds", "Backends.fds", "Roles.fds", "starter-placed.txt")
LIST = "backup.json"
_MOST_BYTES = 64 * 1024**3


def back_up(data_dir: Path, archive: Path) -> list[str]:
    """Write the archive, whole or not at all, and look whether it can be read again; the names in it.

    Raises OSError, and Refused when there is nothing to back up.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in DATABASES:
            if (data_dir / name).is_file():
                copy_database(data_dir / name, folder / name)
        for name in SETTINGS:
            if (data_dir / name).is_file():
                shutil.copyfile(data_dir / name, folder / name)
        names = sorted(path.name for path in folder.iterdir())
        if not names:
            raise Refused(f"There is nothing to back up in {data_dir}.")
        hashes = {name: _hash(folder / name) for name in names}
        make_folder(archive.parent)
        with place_whole(archive) as unfinished:
            with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as writing:
                writing.writestr(LIST, dumps({"version": __version__, "files": hashes}))
                for name in names:
                    writing.write(folder / name, name)
            with zipfile.ZipFile(unfinished) as reading:
                broken = reading.testzip()
            if broken is not None:
                raise OSError(f"The archive cannot be read back: {broken}")
    return names


def restore(archive: Path, data_dir: Path, now: datetime) -> Path:
    """Put what the archive holds into the data folder; where what was there before is kept.

    Nothing is touched before every file has been checked. Raises Refused while a server uses the folder, BadInput for
    an archive that is not ours or damaged.
    """
    lock = FolderLock(data_dir)
    lock.acquire()
    with closing(_Released(lock)), tempfile.TemporaryDirectory(dir=data_dir) as scratch:
        folder = Path(scratch)
        names = _unpacked(archive, folder)
        aside = data_dir / f"Replaced.{stamp_of(now)}"
        make_folder(aside)
        for name in names:
            for each in (name, f"{name}-wal", f"{name}-shm"):
                if (data_dir / each).exists():
                    (data_dir / each).replace(aside / each)
            with place_whole(data_dir / name) as unfinished:
                shutil.copyfile(folder / name, unfinished)
    return aside


class _Released:
    def __init__(self, lock: FolderLock) -> None:
        self._lock = lock

    def close(self) -> None:
        self._lock.release()


def _unpacked(archive: Path, folder: Path) -> list[str]:
    """The files of an archive, unpacked and checked. Raises BadInput."""
    try:
        with zipfile.ZipFile(archive) as reading:
            told = loads(reading.read(LIST))
            files = told.get("files") if isinstance(told, dict) else None
            if not isinstance(files, dict) or not set(files) <= {*DATABASES, *SETTINGS}:
                raise BadInput(f"{archive.name} is no backup of Swarm.")
            if sum(reading.getinfo(name).file_size for name in files) > _MOST_BYTES:
                raise BadInput(f"{archive.name} holds more than a backup can.")
            for name in files:
                with reading.open(name) as packed, (folder / name).open("xb") as file:
                    shutil.copyfileobj(packed, file)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise BadInput(f"{archive.name} is damaged, or no backup of Swarm: {error}") from None
    for name, wanted in files.items():
        if _hash(folder / name) != wanted:
            raise BadInput(f"{archive.name} is damaged: {name} is not what was packed.")
        if name in DATABASES and (fault := fault_in(folder / name)) is not None:
            raise BadInput(f"{archive.name} is damaged: {name} is not sound ({fault}).")
    return sorted(files)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _arguments(command: str, arguments: Sequence[str]) -> tuple[Path | None, Path]:
    parser = argparse.ArgumentParser(prog=f"swarm {command}", description=__doc__)
    wanted = "?" if command == "backup" else None
    parser.add_argument("archive", type=Path, nargs=wanted, help="the zip file")
    parser.add_argument("--data-dir", "--data_dir", metavar="FOLDER", help="the data folder (default: Data)")
    given = parser.parse_args(arguments)
    options, _ = parse_options([f"--data-dir={given.data_dir}"] if given.data_dir else [])
    return given.archive, options.data_dir


def run_backup(arguments: Sequence[str]) -> int:
    """Write a backup, by default beside the data; returns the exit code."""
    archive, data_dir = _arguments("backup", arguments)
    archive = archive or data_dir / "Backups" / f"swarm-{stamp_of(datetime.now())}.zip"
    try:
        names = back_up(data_dir, archive)
    except (SwarmError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{archive} holds {', '.join(names)}.\n")
    return 0


def run_restore(arguments: Sequence[str]) -> int:
    """Restore a backup; returns the exit code."""
    archive, data_dir = _arguments("restore", arguments)
    assert archive is not None
    try:
        aside = restore(archive, data_dir, datetime.now())
    except FileNotFoundError:
        sys.stderr.write(f"There is no file {archive}.\n")
        return 1
    except (SwarmError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"Restored. What was there before is in {aside}.\n")
    return 0
