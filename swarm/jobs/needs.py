"""Which model files a feature needs, said next to its parameters; the server finds them before the job leaves.

Model parameters need nothing here: every model a request names is found and put into `Job.files` under the parameter's
id. A need is for files the request does not name itself: a detector, a face encoder, a text encoder the model lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from swarm.architectures.architecture import Architecture
from swarm.jobs.job import ModelFile
from swarm.params.input import GenerationInput
from swarm.params.param import Param


class Files(Protocol):
    """The model files of this server."""

    def find(self, subtype: str, name: str) -> ModelFile | None:
        """A model by its type (`Stable-Diffusion`, `VAE`, `LoRA`, `ControlNet`, `Clip` …) and name, with or without its
        suffix; None if there is none."""

    def names(self, subtype: str) -> Sequence[str]:
        """Every model of a type."""

    def folder(self, subtype: str) -> Path:
        """Where new files of a type go; to be named in sentences relative to the models folder."""

    def beside(self, relative: str) -> ModelFile | None:
        """A file or folder below a models folder that is of no listed type (`clipseg`, `rembg` …)."""

    def holds(self, file: ModelFile, *prefixes: str) -> bool:
        """Whether a model file has a tensor whose name begins with one of `prefixes`; no for what cannot be read."""

    def architecture(self, file: ModelFile) -> Architecture | None:
        """The family of a model file."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a need comes to: see `Job.parts` and `Job.files`."""

    parts: Mapping[str, ModelFile]
    files: Mapping[str, ModelFile]


@dataclass(frozen=True, kw_only=True)
class Need:
    """A feature's files. Asked for requests that set `when`, for every request when that is None.

    `find(input, model, files)` raises BadInput or Refused with a sentence that names the missing file and its place.
    """

    id: str
    when: Param[Any] | None
    find: Callable[[GenerationInput, ModelFile | None, Files], Found]


def need(
    *, when: Param[Any] | None = None
) -> Callable[[Callable[[GenerationInput, ModelFile | None, Files], Found]], Need]:
    """Declare the decorated function as a need."""

    def declare(find: Callable[[GenerationInput, ModelFile | None, Files], Found]) -> Need:
        return Need(id=find.__name__, when=when, find=find)

    return declare
