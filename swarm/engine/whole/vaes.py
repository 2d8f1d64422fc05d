"""Another VAE in a pipeline, where it is of the kind that the pipeline has."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL

from swarm.architectures.architecture import LatentFormat
from swarm.base.errors import BadInput
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.loader import built, fill, read_json, unloadable
from swarm.engine.vaes.image_vae import VAE_PREFIXES, read_vae
from swarm.jobs.job import ModelFile


def put_in_vae(pipe: Any, part: ModelFile, dtype: torch.dtype) -> None:
    """Give a pipeline the VAE of a file or folder. Raises BadInput for one of another kind."""
    own = getattr(pipe, "vae", None)
    if own is None:
        raise BadInput(f"The VAE '{part.name}' cannot be used here: this model has none to replace.")
    found = _of_folder(part, own, dtype) if part.path.is_dir() else _of_file(part, own, dtype)
    pipe.register_modules(vae=found)


def _of_folder(part: ModelFile, own: Any, dtype: torch.dtype) -> Any:
    kind = read_json(part.path / "config.json").get("_class_name")
    if kind != type(own).__name__:
        raise _unlike(part, own)
    try:
        found = type(own).from_pretrained(part.path, local_files_only=True, dtype=dtype)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(unloadable(part.path, error)) from None
    if found.config.get("latent_channels") != own.config.get("latent_channels"):
        raise _unlike(part, own)
    return found


def _of_file(part: ModelFile, own: Any, dtype: torch.dtype) -> Any:
    file = Checkpoint(part.path)
    config = own.config
    if isinstance(own, AutoencoderKL):
        latent = LatentFormat(
            channels=config.latent_channels, scale=config.scaling_factor, shift=config.shift_factor or 0.0
        )
        read = read_vae(file, ("", *VAE_PREFIXES), latent, {}, dtype)
        if read.config.latent_channels != config.latent_channels:
            raise _unlike(part, own)
        return read
    found = built(type(own), config)
    if not {name for name, _ in found.named_parameters()} <= file.shapes.keys():
        raise _unlike(part, own)
    fill(found, part.name, file.tensors_below(""), dtype)
    return found


def _unlike(part: ModelFile, own: Any) -> BadInput:
    return BadInput(
        f"The VAE '{part.name}' is of another kind than this model's ({type(own).__name__}) and cannot replace it."
    )
