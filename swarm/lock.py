"""One server per data folder: a second one would work on the same promised jobs."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import IO

from swarm.base.errors import Refused

try:
    import fcntl
except ImportError:  # Windows: opening the file for ourselves alone has to do
    fcntl = None  # type: ignore[assignment]


class FolderLock:
    """Held as long as the process lives; the operating system lets go of it even after kill -9."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "server.lock"
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Raises Refused, naming the holder, when another server works on the folder."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+", encoding="utf-8")
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                holder = file.read().strip() or "another process"
                file.close()
                raise Refused(
                    f"Another server already uses the data folder {self._path.parent} ({holder}). "
                    "Stop it, or start this one with another --data_dir."
                ) from None
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Let another server have the folder. The file stays: removing it could pull it from under the next one."""
        if self._file is not None:
            self._file.close()
            self._file = None
