"""Qwen-Image's VAE, which is Wan's: made for films, a picture is one frame; its latents have statistics per channel."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKLQwenImage
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

from swarm.architectures.architecture import LatentFormat
from swarm.architectures.companions import VAES
from swarm.base.errors import BadInput
from swarm.engine.components import Source, Vae
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import Shapes
from swarm.engine.loader import built, fill
from swarm.engine.tiling import once
from swarm.engine.vaes.image_vae import VAE_PREFIXES
from swarm.engine.words.encoders import from_folder, lacking

_ORIGINAL, _DIFFUSERS = "decoder.middle.0.residual.0.gamma", "decoder.mid_block.resnets.0.norm1.gamma"


class QwenVae(Vae):
    """In the model's scale a latent is (encoded - mean) / std, channel by channel."""

    over = staticmethod(once)

    def __init__(self, module: AutoencoderKLQwenImage) -> None:
        config = module.config
        latent = LatentFormat(channels=config.z_dim, scale=1.0)
        super().__init__(module, factor=2 ** len(config.temperal_downsample), latent=latent)
        self.width = int(config.base_dim)
        self._mean = torch.tensor(config.latents_mean).view(1, -1, 1, 1)
        self._std = torch.tensor(config.latents_std).view(1, -1, 1, 1)

    def bare(self, latents: torch.Tensor) -> torch.Tensor:
        return super().bare(latents) * self._std.to(latents) + self._mean.to(latents)

    def decoded(self, latents: torch.Tensor) -> torch.Tensor:
        film: torch.Tensor = self.module.decode(latents.to(self.dtype)[:, :, None]).sample
        return film[:, :3, 0]

    def encoded(self, pictures: torch.Tensor) -> torch.Tensor:
        own = self.module.encode(pictures.to(self.dtype)[:, :, None]).latent_dist.mode()[:, :, 0].float()
        latents: torch.Tensor = (own - self._mean.to(own)) / self._std.to(own)
        return latents


def find_qwen_vae(source: Source) -> QwenVae:
    """The VAE a model is used with: the one the request names, else its own. Raises BadInput when there is none."""
    part, dtype = source.parts.get("vae"), source.device.decode
    if part is not None:
        if part.path.is_dir():
            return QwenVae(from_folder(AutoencoderKLQwenImage, part.path, dtype))
        return _read(Checkpoint(part.path), ("", *VAE_PREFIXES), dtype)
    if source.folder is not None:
        return QwenVae(from_folder(AutoencoderKLQwenImage, source.folder / "vae", dtype))
    assert source.checkpoint is not None
    if source.checkpoint.prefix(VAE_PREFIXES, _ORIGINAL, _DIFFUSERS) is None:
        raise lacking(source, VAES["qwenimage"])
    return _read(source.checkpoint, VAE_PREFIXES, dtype)


def _read(file: Checkpoint, prefixes: tuple[str, ...], dtype: torch.dtype) -> QwenVae:
    prefix = file.prefix(prefixes, _ORIGINAL, _DIFFUSERS)
    if prefix is None:
        raise BadInput(f"The VAE '{file.path.name}' is not the one of Qwen-Image, which this model needs.")
    shapes = file.below(prefix)
    original = _ORIGINAL in shapes
    module = built(AutoencoderKLQwenImage, {**_config(shapes, original=original), **file.config().get("vae", {})})
    tensors = dict(file.tensors_below(prefix))
    fill(module, file.path.name, (convert_wan_vae_to_diffusers(tensors) if original else tensors).items(), dtype)
    return QwenVae(module)


def _config(shapes: Shapes, *, original: bool) -> dict[str, int]:
    first = shapes["encoder.conv1.weight" if original else "encoder.conv_in.weight"]
    middle = shapes["conv2.weight" if original else "post_quant_conv.weight"]
    return {"base_dim": first[0], "input_channels": first[1], "z_dim": middle[0]}
