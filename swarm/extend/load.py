"""Extensions from a folder: each is imported module by module; a broken one is reported and skipped.

Their declared values are collected from the modules like those of the program itself; nothing registers itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from swarm.base.errors import BadInput
from swarm.extend.manifest import OFF, Manifest, read_manifest

_PACKAGE = "extensions"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LoadedExtension:
    """An extension whose every module was imported."""

    manifest: Manifest
    folder: Path
    modules: list[ModuleType]


def load_extensions(folder: Path) -> list[LoadedExtension]:
    """Every extension below `folder`, by name: the subfolders that hold an `extension.toml`, unless they are switched
    off. Blocking.

    Their modules are called `extensions.<id>.<module>`, and may import each other by these names.
    """
    if not folder.is_dir():
        return []
    found = sorted(
        path for path in folder.iterdir() if (path / "extension.toml").is_file() and not (path / OFF).exists()
    )
    return [loaded for path in found if (loaded := _load(path)) is not None]


def _load(folder: Path) -> LoadedExtension | None:
    try:
        manifest = read_manifest(folder)
        return LoadedExtension(manifest=manifest, folder=folder, modules=list(_modules(manifest.id, folder)))
    except BadInput as error:
        _log.error("%s It is skipped.", error.sentence)
    except (Exception, SystemExit):  # noqa: BLE001 - whatever an extension does, the server starts
        _log.exception("The extension %s cannot be loaded and is skipped.", folder.name)
    return None


def _modules(extension_id: str, folder: Path) -> Iterator[ModuleType]:
    """The extension's package and all modules in it, imported."""
    package = _package(f"{_PACKAGE}.{extension_id}", folder)
    yield package
    for info in sorted(pkgutil.walk_packages(package.__path__, f"{package.__name__}."), key=lambda info: info.name):
        yield importlib.import_module(info.name)


def _package(name: str, folder: Path) -> ModuleType:
    """The package of an extension, made anew when another folder used its name before."""
    parent = sys.modules.setdefault(_PACKAGE, _namespace(_PACKAGE, []))
    known = sys.modules.get(name)
    if known is not None and [Path(path) for path in known.__path__] == [folder]:
        return known
    for each in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
        del sys.modules[each]
    package = _namespace(name, [str(folder)])
    sys.modules[name] = package
    setattr(parent, folder.name, package)
    code = folder / "__init__.py"
    if code.is_file():
        spec = importlib.util.spec_from_file_location(name, code, submodule_search_locations=[str(folder)])
        if spec is not None and spec.loader is not None:
            package.__spec__ = spec
            package.__file__ = str(code)
            spec.loader.exec_module(package)
    return package


def _namespace(name: str, paths: list[str]) -> ModuleType:
    """An empty package that looks for its modules in `paths`."""
    package = ModuleType(name)
    package.__path__ = paths
    return package
