"""VAEs for pictures (AutoencoderKL): inside a checkpoint, in files of their own, in folders; in both layouts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from swarm.architectures.architecture import LatentFormat
from swarm.architectures.companions import VAES
from swarm.base.errors import BadInput
from swarm.engine.components import Source, Vae
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.keys import vae_key
from swarm.engine.files.shapes import Shapes, count, groups, vae_config
from swarm.engine.loader import Config, Named, built, fill, unloadable
from swarm.engine.words.encoders import lacking

VAE_PREFIXES = ("first_stage_model.", "vae.")
"""Where a checkpoint keeps its VAE."""
_MARKER = "decoder.conv_in.weight"
_FIRST, _FIRST_DIFFUSERS = "encoder.down.0.block.0.conv1.weight", "encoder.down_blocks.0.resnets.0.conv1.weight"
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_FALLBACK = LatentFormat(channels=4, scale=0.18215)


def find_vae(source: Source, latent: LatentFormat | None = None) -> Vae:
    """The VAE a model is used with: the one the request names, else its own. Raises BadInput when there is none."""
    latent = latent or source.architecture.latent or _FALLBACK
    dtype = source.device.decode
    part = source.parts.get("vae")
    if part is not None:
        if part.path.is_dir():
            lent = image_vae(_from_folder(part.path, dtype), latent)
        else:
            lent = image_vae(read_vae(Checkpoint(part.path), ("", *VAE_PREFIXES), latent, {}, dtype), latent)
        return _fitting(lent, latent, part.name, source.file.name)
    if source.folder is not None:
        return image_vae(_from_folder(source.folder / "vae", dtype))
    assert source.checkpoint is not None
    own = source.checkpoint.config().get("vae", {})
    if source.checkpoint.prefix(VAE_PREFIXES, _MARKER) is None:
        raise lacking(source, VAES.get(source.architecture.compat.vae_family or "", VAES[""]))
    return image_vae(read_vae(source.checkpoint, VAE_PREFIXES, latent, own, dtype))


def _fitting(lent: Vae, latent: LatentFormat, name: str, model: str) -> Vae:
    if lent.channels != latent.channels:
        raise BadInput(
            f"The VAE '{name}' makes latents of {lent.channels} channels, and the model '{model}' works on "
            f"{latent.channels}. Choose a VAE of the model's family, or none."
        )
    return lent


def image_vae(module: AutoencoderKL, latent: LatentFormat | None = None) -> Vae:
    """diffusers' VAE of Stable Diffusion and of everything that kept its shape. `latent`: the scale that the model it
    is lent to wants, None for the VAE's own."""
    config = module.config
    own = LatentFormat(channels=config.latent_channels, scale=config.scaling_factor, shift=config.shift_factor or 0.0)
    found = Vae(module, factor=2 ** (len(config.block_out_channels) - 1), latent=own)
    if latent is not None and latent.channels == found.channels:
        found.scale, found.shift = latent.scale, latent.shift
    return found


def read_vae(
    checkpoint: Checkpoint, prefixes: tuple[str, ...], latent: LatentFormat, own: Config, dtype: torch.dtype
) -> AutoencoderKL:
    """A VAE below one of `prefixes` of a file. `own`: config entries that win over the shapes. Raises BadInput."""
    prefix = checkpoint.prefix(prefixes, _MARKER)
    if prefix is None:
        raise BadInput(f"The model file '{checkpoint.path.name}' holds no VAE that can be used here.")
    shapes = checkpoint.below(prefix)
    is_diffusers = any(name.startswith("encoder.down_blocks.") for name in shapes)
    if (_FIRST_DIFFUSERS if is_diffusers else _FIRST) not in shapes or len(shapes[_MARKER]) != 4:
        raise BadInput(
            f"The VAE '{checkpoint.path.name}' is of another kind than this model's. Choose another, or none."
        )
    scales = {"scaling_factor": latent.scale, "shift_factor": latent.shift or None}
    read = diffusers_vae_config(shapes) if is_diffusers else vae_config(shapes, scaling_factor=latent.scale)
    settings: Config = {**read, **scales, **own}
    vae = built(AutoencoderKL, settings)
    levels = len(settings["block_out_channels"])
    tensors = checkpoint.tensors_below(prefix)
    renamed = _modern(tensors) if is_diffusers else ((vae_key(key, levels) or "", tensor) for key, tensor in tensors)
    fill(vae, checkpoint.path.name, ((key, tensor) for key, tensor in renamed if key), dtype)
    found: AutoencoderKL = vae
    return found


def _from_folder(path: Path, dtype: torch.dtype) -> AutoencoderKL:
    try:
        return AutoencoderKL.from_pretrained(path, local_files_only=True, dtype=dtype)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(unloadable(path, error)) from None


def _modern(tensors: Named) -> Iterator[tuple[str, torch.Tensor]]:
    """Attention weights in the names diffusers has had since 0.12."""
    for name, tensor in tensors:
        module, _, leaf = name.rpartition(".")
        home, _, part = module.rpartition(".")
        yield f"{home}.{_OLD_ATTENTION.get(part, part)}.{leaf}" if ".attentions." in name else name, tensor


def diffusers_vae_config(shapes: Shapes) -> Config:
    """AutoencoderKL's config from names and shapes in diffusers' spelling."""
    levels = count(shapes, r"encoder\.down_blocks\.(\d+)\.")
    channels = [shapes[f"encoder.down_blocks.{level}.resnets.0.conv1.weight"][0] for level in range(levels)]
    attends = "encoder.mid_block.attentions.0.group_norm.weight" in shapes
    return {
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        "latent_channels": shapes[_MARKER][1],
        "block_out_channels": tuple(channels),
        "layers_per_block": count(shapes, r"encoder\.down_blocks\.0\.resnets\.(\d+)\."),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "norm_num_groups": groups(channels),
        "mid_block_add_attention": attends,
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
        "sample_size": 512,
    }
