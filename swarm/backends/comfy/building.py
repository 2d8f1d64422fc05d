"""A workflow while it is put together, step by step; each step is one file of comfy/steps. Pure.

A step reads the job, adds nodes, and leaves links for the steps behind it. What a step understands it names in
`params`: a job that sets anything else which concerns pictures is refused before it is sent anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from swarm.architectures.architecture import Architecture
from swarm.backends.comfy.graph import Graph, Input, Link
from swarm.backends.comfy.info import ComfyInfo
from swarm.base.errors import BackendError
from swarm.jobs.job import Job, LoraUse, ModelFile
from swarm.params.param import Param


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model's three outputs."""

    model: Link
    clip: Link
    vae: Link


@dataclass(kw_only=True)
class Building:
    """`uploaded`: the server's names of pictures, by parameter id. `base`, `refiner`: models with their LoRAs and
    patches. `positive`, `negative`: what the base walk is told. `start`: the latent it begins with. `seed`: of the
    picture that is being made, `latent` or `image`: how far it has come. `outputs`: the nodes that hold pictures.
    `architectures`: model classes by id."""

    job: Job
    info: ComfyInfo
    uploaded: Mapping[str, str]
    graph: Graph = field(default_factory=Graph)
    base: Loaded | None = None
    positive: Link | None = None
    negative: Link | None = None
    start: Link | None = None
    seed: int = 0
    latent: Link | None = None
    image: Link | None = None
    vae: Link | None = None
    outputs: list[str] = field(default_factory=list)
    architectures: Mapping[str, Architecture] = field(default_factory=lambda: MappingProxyType({}))
    _known: dict[Hashable, str] = field(default_factory=dict)

    def add(self, class_type: str, **inputs: Input) -> Link:
        """The first output of a node; one that does the same to the same is there only once. Raises BackendError for
        a node that the server does not have."""
        if class_type not in self.info.nodes:
            raise BackendError(f"This ComfyUI has no node '{class_type}', which the request needs.")
        key = class_type, *sorted(inputs.items(), key=lambda pair: pair[0])
        if key not in self._known:
            self._known[key] = self.graph.add(class_type, **inputs)
        return self._known[key], 0

    def own_name(self, subtype: str, file: ModelFile) -> str:
        """A model as the server spells it. Raises BackendError when it does not list it."""
        known = self.info.spelling.get(subtype, {})
        found = known.get(file.name) or known.get(file.name.removesuffix(".safetensors") + ".safetensors")
        if found is None:
            raise BackendError(f"ComfyUI does not have the model '{file.name}'.")
        return found

    def given(self, param: Param[Any]) -> Any:
        return self.job.input.given(param)

    def get(self, param: Param[Any]) -> Any:
        return self.job.input.get(param)

    def loras(self, *sections: int) -> tuple[LoraUse, ...]:
        """The LoRAs that act in any of these sections."""
        return tuple(use for use in self.job.loras if use.section in sections)


@dataclass(frozen=True, kw_only=True)
class ComfyStep:
    """`order`: lower runs earlier. `per_picture`: it runs once for each picture, the others once for all. `params`:
    what it understands. `features`: flags it stands for on servers that have `nodes`."""

    id: str
    order: int
    run: Callable[[Building], None]
    per_picture: bool = False
    params: tuple[Param[Any], ...] = ()
    features: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


def need(link: Link | None) -> Link:
    """What an earlier step has left."""
    assert link is not None, "the steps are out of order"
    return link
