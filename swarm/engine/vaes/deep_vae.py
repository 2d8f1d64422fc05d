"""Deep-compression autoencoders (AutoencoderDC), as Sana has one: 32 pixels to a latent cell, no randomness inside."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderDC

from swarm.architectures.architecture import LatentFormat
from swarm.architectures.companions import VAES
from swarm.base.errors import BadInput
from swarm.engine.components import Source, Vae
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.loader import built, fill
from swarm.engine.vaes.image_vae import VAE_PREFIXES
from swarm.engine.words.encoders import from_folder, lacking

_MARKER = "decoder.up_blocks.0.0.conv.weight"
_SCALE = LatentFormat(channels=32, scale=0.41407, downscale=32)
_KERNEL = "attn.to_qkv_multiscale.0.proj_in.weight"
_HEAD = "attn.to_qkv_multiscale.0.proj_out.weight"


class DeepVae(Vae):
    """Each picture has one latent."""

    def __init__(self, module: AutoencoderDC, latent: LatentFormat) -> None:
        super().__init__(module, factor=int(module.spatial_compression_ratio), latent=latent)
        self.width = int(module.config.decoder_block_out_channels[0])

    def encoded(self, pictures: torch.Tensor) -> torch.Tensor:
        latents: torch.Tensor = self.module.encode(pictures.to(self.dtype)).latent.float()
        return latents

    def enable_tiling(self, *, tile: int | None = None, overlap: int | None = None) -> None:
        if tile is None:
            self.module.enable_tiling()
            return
        size = max(2 * self.factor, tile // self.factor * self.factor)
        shared = size // 4 if overlap is None else min(overlap, size // 2)
        stride = max(self.factor, (size - shared) // self.factor * self.factor)
        self.module.enable_tiling(size, size, stride, stride)

    def disable_tiling(self) -> None:
        self.module.use_tiling = False


def find_deep_vae(source: Source) -> DeepVae:
    """The VAE a model is used with: the one the request names, else its own. Raises BadInput when there is none."""
    part, dtype = source.parts.get("vae"), source.device.decode
    latent = source.architecture.latent or _SCALE
    if part is not None:
        if part.path.is_dir():
            return DeepVae(from_folder(AutoencoderDC, part.path, dtype), latent)
        return DeepVae(_read(Checkpoint(part.path), ("", *VAE_PREFIXES), latent, dtype), latent)
    if source.folder is not None:
        return DeepVae(from_folder(AutoencoderDC, source.folder / "vae", dtype), latent)
    assert source.checkpoint is not None
    if source.checkpoint.prefix(VAE_PREFIXES, _MARKER) is None:
        raise lacking(source, VAES["nvidia-sana-1600"])
    return DeepVae(_read(source.checkpoint, VAE_PREFIXES, latent, dtype), latent)


def _read(file: Checkpoint, prefixes: tuple[str, ...], latent: LatentFormat, dtype: torch.dtype) -> AutoencoderDC:
    prefix = file.prefix(prefixes, _MARKER)
    if prefix is None:
        raise BadInput(
            f"The file '{file.path.name}' holds no VAE of Sana's kind in diffusers' names; get the one of the model's "
            f"diffusers folder."
        )
    config = deep_config(file.below(prefix), file.path.name)
    module: AutoencoderDC = built(AutoencoderDC, {**config, "scaling_factor": latent.scale})
    fill(module, file.path.name, file.tensors_below(prefix), dtype)
    return module


def deep_config(shapes: Shapes, file: str) -> dict[str, Any]:
    """AutoencoderDC's config from names and shapes in diffusers' spelling. Raises BadInput for an incomplete file."""
    found: dict[str, Any] = {"latent_channels": 0, "attention_head_dim": 32}
    try:
        found["latent_channels"] = shapes["decoder.conv_in.weight"][1]
        for side, blocks in (("encoder", "down_blocks"), ("decoder", "up_blocks")):
            levels = count(shapes, rf"{side}\.{blocks}\.(\d+)\.")
            read = [_level(shapes, f"{side}.{blocks}.{level}.") for level in range(levels)]
            found[f"{side}_block_types"] = tuple(level["kind"] for level in read)
            found[f"{side}_block_out_channels"] = tuple(level["width"] for level in read)
            found[f"{side}_layers_per_block"] = tuple(level["layers"] for level in read)
            found[f"{side}_qkv_multiscales"] = tuple(level["scales"] for level in read)
            found["attention_head_dim"] = next((each["head"] for each in read if each["head"]), 32)
        widths, layers = found["encoder_block_out_channels"], found["encoder_layers_per_block"]
        down = shapes[f"encoder.down_blocks.0.{layers[0]}.conv.weight"][0]
        up = shapes["decoder.up_blocks.0.0.conv.weight"][0]
    except (KeyError, IndexError) as error:
        raise BadInput(f"The VAE '{file}' lacks the tensor {error}; it is not a complete one.") from None
    found["downsample_block_type"] = "Conv" if down == widths[1] else "pixel_unshuffle"
    found["upsample_block_type"] = "interpolate" if up == found["decoder_block_out_channels"][0] else "pixel_shuffle"
    return found


def _level(shapes: Shapes, at: str) -> dict[str, Any]:
    """What blocks a level has, besides the one that changes the size."""
    own = {name[len(at) :]: shape for name, shape in shapes.items() if name.startswith(at)}
    residual = [name for name in own if name.endswith(".conv1.weight")]
    attending = [name for name in own if name.endswith(".attn.to_q.weight")]
    first = (residual or attending)[0]
    block = first.partition(".")[0]
    kernel, head = own.get(f"{block}.{_KERNEL}"), own.get(f"{block}.{_HEAD}")
    return {
        "kind": "ResBlock" if residual else "EfficientViTBlock",
        "width": own[first][1],
        "layers": len(residual or attending),
        "scales": () if kernel is None else (kernel[2],),
        "head": None if head is None else head[1],
    }
