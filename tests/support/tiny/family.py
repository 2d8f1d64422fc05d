"""What every tiny family can do: be written in each layout, bring its companions, and be run by diffusers itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tests.support.tiny.weights import Tensors, below, plain_config, write

Writer = Callable[[Path], Path]
BARE, PREFIXED, SINGLE, FOLDER, SHARDED = "bare", "prefixed", "single", "folder", "sharded"


@dataclass(frozen=True, kw_only=True, eq=False)
class TinyFamily:
    """One family in small.

    `id`: the architecture's. `denoiser()`: the reference network, float32, with the weights of `original()`.
    `original()`: its tensors by the original names, without prefix. `convert`: diffusers' own converter for them, with
    small widths put in. `prefix`: what stands before the denoiser's names in layout "prefixed". `extra()`: the tensors
    an all-in-one file has besides. `files`: writers of the separate files, by slot (`vae`, `clip_l` …), each called
    with the folder. `foldered`: whether diffusers can save it. `component`: the denoiser's name in a folder.
    `pipeline(denoiser)`: diffusers' own pipeline over the same weights.
    """

    id: str
    denoiser: Callable[[], Any]
    original: Callable[[], Tensors]
    convert: Callable[[Tensors], Tensors]
    pipeline: Callable[[Any], Any]
    files: Mapping[str, Writer]
    prefix: str = "model.diffusion_model."
    extra: Callable[[], Tensors] | None = None
    foldered: bool = True
    component: str = "transformer"

    @property
    def layouts(self) -> tuple[str, ...]:
        """What `make` accepts."""
        folders = (FOLDER, SHARDED) if self.foldered else ()
        return (BARE, PREFIXED, *((SINGLE,) if self.extra else ()), *folders)

    def make(self, folder: Path, *, layout: str, name: str | None = None, said: bool = True) -> Path:
        """Write the model and say where: a file `<name>.safetensors`, or a diffusers folder `<name>`.

        `said`: let the file name its family itself, for those that are told by their true widths only.
        """
        if layout not in self.layouts:
            raise ValueError(f"{self.id} is not made as {layout}")
        name = name or self.id.replace("/", "-").lower() + "-tiny"
        if layout in (FOLDER, SHARDED):
            shards = {"max_shard_size": "100KB"} if layout == SHARDED else {}
            # Every weight is exact in float16, so that the folder holds the same model as the single file.
            pipe = self.reference()
            for part in pipe.components.values():
                if isinstance(part, torch.nn.Module):
                    torch.nn.Module.half(part)
            pipe.save_pretrained(folder / name, **shards)
            return folder / name
        tensors = self.original() if layout == BARE else below(self.prefix, self.original())
        if layout == SINGLE and self.extra is not None:
            tensors |= self.extra()
        return write(folder / f"{name}.safetensors", tensors, {self.component: self.config()}, self.id if said else "")

    def companions(self, folder: Path) -> dict[str, Path]:
        """Write the separate text encoders and VAE; their paths by slot."""
        return {slot: writer(folder) for slot, writer in self.files.items()}

    def reference(self) -> Any:
        """diffusers' pipeline, silent, on the CPU in float32."""
        pipe = self.pipeline(self.denoiser())
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def config(self) -> dict[str, Any]:
        """The denoiser's config, as it stands in the header's `swarm.config` under `component`."""
        return _config(self)


@cache
def _config(family: TinyFamily) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(plain_config(family.denoiser())))
    return plain
