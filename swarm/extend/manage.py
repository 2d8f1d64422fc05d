"""The folder of extensions as its owner sees it: what is there, switched off, put in, brought up to date, taken out.

Nothing here runs an extension: what changes is on disk, and acts at the next start. Archives are zip files, unpacked
beside their place and put there whole; only plain files below one folder are taken. Blocking.
"""

from __future__ import annotations

import io
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from swarm.base.atomic import write_whole
from swarm.base.errors import BadInput, NotFound, Refused
from swarm.extend.manifest import OFF, Manifest, read_manifest

ORIGIN = "installed-from"
"""A file beside `extension.toml`: the address the extension came from."""

MOST_FILES = 2000
MOST_BYTES = 64 * 1024 * 1024
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+ -]{0,99}")


@dataclass(frozen=True, kw_only=True)
class InstalledExtension:
    """An extension that is in the folder. `origin`: the address it was installed from; None for others."""

    manifest: Manifest
    folder: Path
    enabled: bool
    origin: str | None


class ExtensionFolder:
    """`trash`: takes a folder that is removed and keeps it somewhere else."""

    def __init__(self, folder: Path, trash: Callable[[Path], object]) -> None:
        self.folder = folder
        self._trash = trash

    def installed(self) -> list[InstalledExtension]:
        """All that have a readable manifest, by id."""
        found = []
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            if (path / "extension.toml").is_file():
                try:
                    found.append(self._read(path))
                except BadInput:
                    continue
        return found

    def _read(self, path: Path) -> InstalledExtension:
        origin = path / ORIGIN
        return InstalledExtension(
            manifest=read_manifest(path),
            folder=path,
            enabled=not (path / OFF).exists(),
            origin=origin.read_text("utf-8").strip() if origin.is_file() else None,
        )

    def find(self, name: str) -> InstalledExtension:
        """By id or display name, in any case. Raises NotFound with the wire's sentence."""
        wanted = name.strip().casefold()
        for each in self.installed():
            if wanted in (each.manifest.id, each.manifest.name.casefold()):
                return each
        raise NotFound("Unknown extension.")

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Have it loaded, or not, from the next start on. Raises NotFound, Refused."""
        found = self.find(name)
        if not enabled and not found.enabled:
            raise Refused("Extension is already disabled.")
        try:
            if enabled:
                (found.folder / OFF).unlink(missing_ok=True)
            else:
                write_whole(found.folder / OFF, b"")
        except OSError as error:
            raise Refused(f"The extension's folder cannot be changed: {error.strerror or error}.") from None

    def remove(self, name: str) -> None:
        """Move it to the trash. Raises NotFound, Refused."""
        found = self.find(name)
        try:
            self._trash(found.folder)
        except OSError:
            raise Refused(
                "Extension deletion failed, you will need to manually delete the extension folder from inside "
                f"{self.folder.name}"
            ) from None

    def install(self, archive: bytes, origin: str) -> Manifest:
        """Put in what an archive holds. Raises BadInput for what is no extension, Refused when it is there already."""
        with self._unpacked(archive, origin) as fresh:
            manifest = read_manifest(fresh)
            target = self.folder / manifest.id
            if target.exists():
                raise Refused("Extension already installed.")
            fresh.rename(target)
            return manifest

    def update(self, name: str, archive: bytes) -> bool:
        """Put a newer state in the place of the present one, which goes to the trash; False when nothing is different.

        It stays switched off if it was. Raises NotFound, BadInput, Refused.
        """
        found = self.find(name)
        with self._unpacked(archive, found.origin or "") as fresh:
            if read_manifest(fresh).id != found.manifest.id:
                raise BadInput("The archive at the extension's address holds another extension now.")
            if not found.enabled:
                (fresh / OFF).touch()
            if _contents(fresh) == _contents(found.folder):
                return False
            try:
                self._trash(found.folder)
            except OSError as error:
                raise Refused(f"The extension's folder cannot be changed: {error.strerror or error}.") from None
            fresh.rename(found.folder)
            return True

    def _unpacked(self, archive: bytes, origin: str) -> _Unpacked:
        return _Unpacked(self.folder, archive, origin)


class _Unpacked:
    """An archive, unpacked into a hidden folder that goes away with the block, except for what was moved out of it."""

    def __init__(self, home: Path, archive: bytes, origin: str) -> None:
        self._home = home
        self._archive = archive
        self._origin = origin
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Path:
        self._home.mkdir(parents=True, exist_ok=True)
        self._scratch = tempfile.TemporaryDirectory(dir=self._home, prefix=".unpacking-")
        try:
            return self._unpack(Path(self._scratch.name))
        except BaseException:
            self._scratch.cleanup()
            raise

    def __exit__(self, *_: object) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()

    def _unpack(self, scratch: Path) -> Path:
        try:
            with zipfile.ZipFile(io.BytesIO(self._archive)) as reading:
                members = dict(_members(reading))
                top = _top(members)
                for path, info in members.items():
                    inside = path.relative_to(top)
                    target = scratch / "new" / inside
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with reading.open(info) as packed, target.open("xb") as file:
                        shutil.copyfileobj(packed, file)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise BadInput(f"What the address holds is no usable zip archive: {error}") from None
        (scratch / "new" / ORIGIN).write_text(self._origin, encoding="utf-8")
        named = scratch / _id_in(scratch / "new")
        (scratch / "new").rename(named)
        return named


def _members(reading: zipfile.ZipFile) -> Iterator[tuple[PurePosixPath, zipfile.ZipInfo]]:
    """The files of an archive by path. Raises BadInput for anything that is not plainly a file inside of it."""
    infos = [info for info in reading.infolist() if not info.is_dir()]
    if len(infos) > MOST_FILES or sum(info.file_size for info in infos) > MOST_BYTES:
        raise BadInput("The archive is too large for an extension.")
    seen: set[str] = set()
    for info in infos:
        path = PurePosixPath(info.filename)
        plain = all(_PART.fullmatch(part) and not part.endswith((".", " ")) for part in _visible(path))
        mode = info.external_attr >> 16
        is_special = stat.S_IFMT(mode) not in (0, stat.S_IFREG)
        if path.is_absolute() or "\\" in info.filename or not plain or is_special or str(path).casefold() in seen:
            raise BadInput(f"The archive holds something that no extension needs: {info.filename[:100]!r}")
        seen.add(str(path).casefold())
        yield path, info


def _visible(path: PurePosixPath) -> list[str]:
    """Parts of a path, a leading dot (as in .gitignore) not counted."""
    return [part[1:] if part.startswith(".") and not part.startswith("..") else part for part in path.parts]


def _top(members: Mapping[PurePosixPath, zipfile.ZipInfo]) -> PurePosixPath:
    """The one folder that holds `extension.toml`: the archive's root, or its only folder."""
    manifests = sorted((path for path in members if path.name == "extension.toml"), key=lambda path: len(path.parts))
    if not manifests or len(manifests[0].parts) > 2:
        raise BadInput("The archive holds no extension: there is no extension.toml in it.")
    top = manifests[0].parent
    if any(not path.is_relative_to(top) for path in members):
        raise BadInput("The archive holds more than one folder.")
    return top


def _id_in(folder: Path) -> str:
    """What the manifest calls the extension, if that can be a folder's name. Raises BadInput."""
    found = re.search(r'^\s*id\s*=\s*"([a-z][a-z0-9_]{0,63})"', (folder / "extension.toml").read_text("utf-8"), re.M)
    if found is None or found[1] == "new":
        raise BadInput("The extension's id must be of lower-case letters, digits and _.")
    return found[1]


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
