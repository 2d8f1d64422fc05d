"""A power cut without cutting the power: a program runs with a library that notes what was synced (power_cut.c), and
afterwards a folder is made of that and nothing else."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class PowerCut:
    """Below `folder`: the library, and what is synced of the files below `root`, at first all of them. Needs a C
    compiler."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.root = root
        self._shadow = folder / "shadow"
        self._library = folder / "power_cut.so"
        for kind in ("files", "folders"):
            (self._shadow / kind).mkdir(parents=True)
        self._sync_all(root)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self._library, SOURCE], check=True)

    @property
    def environment(self) -> Mapping[str, str]:
        """For the program."""
        return {"LD_PRELOAD": str(self._library), "POWER_ROOT": str(self.root), "POWER_SHADOW": str(self._shadow)}

    def cut(self, target: Path) -> None:
        """Make `target` what the disk would hold: names that were synced, with bytes that were synced.

        A name whose bytes never were is an empty file, as on file systems that have written the folder only.
        """
        self._fill(self.root, target)

    def _sync_all(self, folder: Path) -> None:
        lines = [f"{path.stat().st_ino} {int(path.is_dir())} {path.name}\n" for path in folder.iterdir()]
        self._names(folder).write_text("".join(lines), encoding="utf-8")
        for path in folder.iterdir():
            if path.is_dir():
                self._sync_all(path)
            else:
                shutil.copyfile(path, self._shadow / "files" / str(path.stat().st_ino))

    def _names(self, folder: Path) -> Path:
        return self._shadow / "folders" / str(folder).replace("/", "|")

    def _fill(self, folder: Path, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        names = self._names(folder)
        for line in names.read_text(encoding="utf-8").splitlines() if names.exists() else []:
            inode, is_folder, name = line.split(" ", 2)
            bytes_ = self._shadow / "files" / inode
            if is_folder == "1":
                self._fill(folder / name, target / name)
            elif bytes_.exists():
                shutil.copyfile(bytes_, target / name)
            else:
                (target / name).touch()
