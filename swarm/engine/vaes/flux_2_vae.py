"""Flux.2's VAE: a model's latent cell is a patch of two by two of the VAE's, 128 numbers, each with its statistics."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from diffusers import AutoencoderKLFlux2

from swarm.architectures.architecture import LatentFormat
from swarm.architectures.companions import VAES
from swarm.base.errors import BadInput
from swarm.engine.components import Source, Vae
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.keys import vae_key
from swarm.engine.files.shapes import Shapes, vae_config
from swarm.engine.loader import Config, Named, built, fill
from swarm.engine.vaes.image_vae import VAE_PREFIXES, diffusers_vae_config
from swarm.engine.words.encoders import from_folder, lacking

_MARKER = "bn.running_mean"
_INSIDE = (("encoder.quant_conv.", "quant_conv."), ("decoder.post_quant_conv.", "post_quant_conv."))
_PATCH = 2


class Flux2Vae(Vae):
    """In the model's scale a latent is (encoded - mean) / std, channel by channel, encoded in patches."""

    def __init__(self, module: AutoencoderKLFlux2) -> None:
        config = module.config
        factor = 2 ** (len(config.block_out_channels) - 1)
        super().__init__(module, factor=factor * _PATCH, latent=LatentFormat(channels=config.latent_channels, scale=1))
        self.channels = config.latent_channels * _PATCH**2
        self._mean = module.bn.running_mean.detach().float().view(1, -1, 1, 1).clone()
        variance = module.bn.running_var.detach().float().view(1, -1, 1, 1)
        self._std = (variance + config.batch_norm_eps).sqrt()

    def bare(self, latents: torch.Tensor) -> torch.Tensor:
        return super().bare(latents) * self._std.to(latents) + self._mean.to(latents)

    def decoded(self, latents: torch.Tensor) -> torch.Tensor:
        return super().decoded(torch.nn.functional.pixel_shuffle(latents, _PATCH))

    def encoded(self, pictures: torch.Tensor) -> torch.Tensor:
        own = torch.nn.functional.pixel_unshuffle(super().encoded(pictures), _PATCH)
        return (own - self._mean.to(own)) / self._std.to(own)


def find_flux_2_vae(source: Source) -> Flux2Vae:
    """The VAE a model is used with: the one the request names, else its own. Raises BadInput when there is none."""
    part, dtype = source.parts.get("vae"), source.device.decode
    if part is not None:
        if part.path.is_dir():
            return Flux2Vae(from_folder(AutoencoderKLFlux2, part.path, dtype))
        return _read(Checkpoint(part.path), ("", *VAE_PREFIXES), dtype)
    if source.folder is not None:
        return Flux2Vae(from_folder(AutoencoderKLFlux2, source.folder / "vae", dtype))
    assert source.checkpoint is not None
    if source.checkpoint.prefix(VAE_PREFIXES, _MARKER) is None:
        raise lacking(source, VAES["flux2"])
    return _read(source.checkpoint, VAE_PREFIXES, dtype)


def _read(file: Checkpoint, prefixes: tuple[str, ...], dtype: torch.dtype) -> Flux2Vae:
    prefix = file.prefix(prefixes, _MARKER)
    if prefix is None:
        raise BadInput(f"The VAE '{file.path.name}' is not the one of Flux.2, which this model needs.")
    shapes = {_outside(name): shape for name, shape in file.below(prefix).items()}
    original = not any(name.startswith("encoder.down_blocks.") for name in shapes)
    settings = {**_config(shapes, original=original), **file.config().get("vae", {})}
    module = built(AutoencoderKLFlux2, settings)
    tensors = ((_outside(name), tensor) for name, tensor in file.tensors_below(prefix))
    renamed = _renamed(tensors, len(settings["block_out_channels"])) if original else tensors
    fill(module, file.path.name, renamed, dtype)
    for name in ("running_mean", "running_var"):
        setattr(module.bn, name, file.tensor(f"{prefix}bn.{name}").float())
    return Flux2Vae(module)


def _outside(name: str) -> str:
    """The outermost convolutions, which original files have inside encoder and decoder."""
    return next((new + name[len(old) :] for old, new in _INSIDE if name.startswith(old)), name)


def _renamed(tensors: Named, levels: int) -> Iterator[tuple[str, torch.Tensor]]:
    for name, tensor in tensors:
        key = vae_key(name, levels)
        if key is not None:
            yield key, tensor


def _config(shapes: Shapes, *, original: bool) -> Config:
    read = vae_config(shapes, scaling_factor=1.0) if original else diffusers_vae_config(shapes)
    levels = len(read["block_out_channels"])
    decoder = "decoder.up.{}.block.0.conv1.weight" if original else "decoder.up_blocks.{}.resnets.0.conv1.weight"
    channels = [shapes[decoder.format(level if original else levels - 1 - level)][0] for level in range(levels)]
    read["decoder_block_out_channels"] = tuple(channels)
    return {name: value for name, value in read.items() if name not in ("scaling_factor", "sample_size")}
