"""Every model file a picture needs, found before the job leaves: those its parameters name and those features need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from swarm.architectures.architecture import Architecture
from swarm.base.errors import BadInput
from swarm.catalog.catalog import Catalog
from swarm.catalog.headers import read_header
from swarm.catalog.model import ModelEntry
from swarm.features.core import MODEL
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Found, Need
from swarm.params.input import GenerationInput
from swarm.params.kinds import Model
from swarm.params.matching import without_suffix
from swarm.params.param import Param


class CatalogFiles:
    """The model files of the catalog, as needs see them (jobs.needs.Files)."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def find(self, subtype: str, name: str) -> ModelFile | None:
        entry = self._catalog.find(subtype, name)
        return None if entry is None else self._catalog.model_file(entry)

    def names(self, subtype: str) -> Sequence[str]:
        return self._catalog.names(subtype)

    def folder(self, subtype: str) -> Path:
        return self._catalog.download_folder(subtype)

    def beside(self, relative: str) -> ModelFile | None:
        for root in self._catalog.roots:
            path = root / relative
            if path.exists():
                stat = path.stat()
                stamp = f"{stat.st_mtime_ns}-{stat.st_size}"
                return ModelFile(name=relative, path=path, family=None, stamp=stamp)
        return None

    def holds(self, file: ModelFile, *prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in _tensor_names(file.path, file.stamp))

    def architecture(self, file: ModelFile) -> Architecture | None:
        return self._catalog.architectures.get(file.family or "")


@lru_cache(maxsize=64)
def _tensor_names(path: Path, stamp: str) -> tuple[str, ...]:
    """The names in a model file's header. `stamp`: so that a changed file is read anew."""
    try:
        return tuple(read_header(path).tensors)
    except (BadInput, OSError):
        return ()


def named_models(
    input: GenerationInput, params: Iterable[Param[object]], catalog: Catalog
) -> list[tuple[Model, ModelEntry]]:
    """Every model the request names besides the main one. Raises BadInput for one that is gone."""
    found: list[tuple[Model, ModelEntry]] = []
    for param in params:
        if not isinstance(param, Model) or param.id == MODEL.id or not input.has(param):
            continue
        name = input.get(param)
        if name in param.others:
            continue
        entry = catalog.find(param.subtype or "", name)
        if entry is None:
            raise BadInput(
                f"The model '{without_suffix(name)}' of {param.name} is no longer there. "
                "Refresh the list and choose another."
            )
        found.append((param, entry))
    return found


def gathered(
    input: GenerationInput,
    model: ModelFile,
    named: Iterable[tuple[Model, ModelEntry]],
    needs: Iterable[Need],
    catalog: Catalog,
) -> Found:
    """The job's `parts` and `files`. Raises what the needs raise."""
    parts: dict[str, ModelFile] = {}
    files: dict[str, ModelFile] = {}
    source = CatalogFiles(catalog)
    for one in needs:
        if not model.remote and (one.when is None or input.has(one.when)):
            found = one.find(input, model, source)
            parts |= found.parts
            files |= found.files
    for param, entry in named:
        file = catalog.model_file(entry)
        if param.slot:
            parts[param.slot] = file
        files[param.id] = file
    return Found(parts=parts, files=files)
