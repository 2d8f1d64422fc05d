"""Single files of families that run whole: which loader builds their pipeline, and what the loaders share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import torch
from transformers import UMT5Config, UMT5EncoderModel

import swarm.architectures
from swarm.architectures.architecture import Architecture
from swarm.base.errors import BadInput
from swarm.base.registry import Registry, collect
from swarm.engine.components import Source
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.renaming import DENOISER_PREFIXES
from swarm.engine.files.shapes import t5_config
from swarm.engine.loader import built, fill, refuse_gaps
from swarm.engine.words.encoders import ALONE, t5
from swarm.engine.words.own_tokenizer import own_tokenizer
from swarm.jobs.job import ModelFile

Converter: TypeAlias = Callable[..., dict[str, torch.Tensor]]
_T5_MARKER = "encoder.block.0.layer.0.SelfAttention.q.weight"
_FOLDERS = {
    "umt5xxl": "clip",
    "t5xxl": "clip",
    "llama": "clip",
    "qwen2.5vl": "clip",
    "byt5": "clip",
    "clip_l": "clip",
    "vae": "VAE",
    "clip_vision": "clip_vision",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Single:
    """A model that is a file, with the files beside it by slot. `family`: what the catalog found it to be."""

    file: ModelFile
    parts: Mapping[str, ModelFile]
    family: Architecture
    dtype: torch.dtype
    device: Device

    def part(self, slot: str, what: str, usual: str) -> ModelFile:
        """The file of a component. Raises BadInput with what to get and where to put it."""
        found = self.parts.get(slot)
        if found is None:
            raise BadInput(
                f"The model '{self.file.name}' comes without its {what}, and none was found. Put '{usual}' into the "
                f"folder models/{_FOLDERS[slot]} and refresh the model list."
            )
        return found


def family_of(file: ModelFile) -> Architecture:
    """Raises BadInput for a file of no known family."""
    found = _families().get(file.family or "")
    if found is None:
        raise BadInput(f"The model '{file.name}' is of a family that this server can only run from a diffusers folder.")
    return found


@cache
def _families() -> Registry[Architecture]:
    return collect(swarm.architectures, Architecture)


def converted(
    kind: Any,
    config: Mapping[str, Any],
    file: Checkpoint,
    prefix: str,
    convert: Converter,
    dtype: torch.dtype,
    *,
    skips: Callable[[str], bool] = lambda _name: False,
) -> Any:
    """A diffusers model with a file's weights, by diffusers' own key conversion. Raises BadInput when weights lack.

    `skips`: names that belong to something else.
    """
    module = built(kind, config)
    wanted = (name for name in file.below(prefix) if not skips(name))
    tensors = {name: file.tensor(prefix + name).to(dtype) for name in wanted}
    named: Iterable[tuple[str, torch.Tensor]] = convert(tensors).items()
    fill(module, file.path.name, named, dtype)
    refuse_gaps(file.path.name, module)
    return module.eval()


def denoiser_prefix(file: Checkpoint, *markers: str) -> str:
    """What the denoiser's names begin with. Raises BadInput."""
    prefix = file.prefix(DENOISER_PREFIXES, *markers)
    if prefix is None:
        raise BadInput(f"The model file '{file.path.name}' holds no denoiser of the family it is said to be of.")
    return prefix


def umt5(single: Single) -> tuple[Any, Any]:
    """(tokenizer, UMT5 encoder) from its own file, which usually carries its vocabulary. Raises BadInput."""
    part = single.part("umt5xxl", "UMT5-XXL text encoder", "umt5_xxl_fp8_e4m3fn_scaled.safetensors")
    file = Checkpoint(part.path)
    prefix = file.prefix(ALONE, _T5_MARKER)
    if prefix is None:
        raise BadInput(f"The text encoder file '{part.name}' holds no UMT5 text encoder.")
    shapes = file.below(prefix)
    config = UMT5Config(**{**t5_config(shapes), **file.config().get("text_encoder", {})})
    model = UMT5EncoderModel(config)
    fill(model, part.name, file.tensors_below(prefix), single.dtype)
    model.tie_weights()
    refuse_gaps(part.name, model)
    return own_tokenizer(file, end=True), model.to(single.dtype).eval()


def source_of(single: Single) -> Source:
    """Where the files beside a model are, as the readers of text encoders want it."""
    return Source(
        file=single.file,
        device=single.device,
        architecture=single.family,
        checkpoint=None,
        folder=None,
        parts=single.parts,
    )


def t5xxl(single: Single) -> Any:
    """T5-XXL's encoder from its own file. Raises BadInput."""
    part = single.part("t5xxl", "T5-XXL text encoder", "t5xxl_fp16.safetensors")
    model: Any = t5(source_of(single), (), single.dtype)
    refuse_gaps(part.name, model)
    return model.to(single.dtype).eval()
