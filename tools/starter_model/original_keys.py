"""The names of the weights in the layout of the original Stable Diffusion release, from those of diffusers.

Knows names only. Works for any number of levels and layers, since both layouts number them in the same order.
"""

import re
from collections.abc import Mapping

from torch import Tensor

Weights = Mapping[str, Tensor]

_UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
_UNET_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def original_unet(weights: Weights, layers: int) -> dict[str, Tensor]:
    """A `UNet2DConditionModel` with `layers` resnets per level, as `model.diffusion_model.*`."""
    attended = {match[1] for name in weights if (match := re.match(r"up_blocks\.(\d+)\.attentions", name))}
    return {f"model.diffusion_model.{_unet_name(name, layers, attended)}": value for name, value in weights.items()}


def original_vae(weights: Weights, levels: int) -> dict[str, Tensor]:
    """An `AutoencoderKL` with `levels` levels, as `first_stage_model.*`."""
    renamed = {}
    for name, value in weights.items():
        attention = ".attentions.0.to_" in name and name.endswith("weight")
        renamed[f"first_stage_model.{_vae_name(name, levels)}"] = value[..., None, None] if attention else value
    return renamed


def original_text_encoder(weights: Weights) -> dict[str, Tensor]:
    """A `CLIPTextModel`, as `cond_stage_model.transformer.text_model.*`."""
    return {
        f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}": value
        for name, value in weights.items()
    }


def _unet_name(name: str, layers: int, attended: set[str]) -> str:
    stem, number = _unet_place(name, layers, attended)
    rest = name[number:]
    if ".resnets." in name[:number]:
        part, _, kind = rest.lstrip(".").rpartition(".")
        return f"{stem}.{_UNET_RESNET[part]}.{kind}"
    return stem + rest


def _unet_place(name: str, layers: int, attended: set[str]) -> tuple[str, int]:
    """The original name of the block that `name` belongs to, and how many letters of `name` that accounts for."""
    for ours, theirs in _UNET_ENDS.items():
        if name.startswith(ours + "."):
            return theirs, len(ours)
    match = re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)(\.conv)?", name)
    if match is None:
        raise KeyError(name)
    way, level, kind, layer = match[1], int(match[2]), match[3], int(match[4])
    per_level = layers + 1
    if kind == "downsamplers":
        return f"input_blocks.{1 + level * per_level + layers}.0.op", match.end()
    if kind == "upsamplers":
        return f"output_blocks.{level * per_level + layers}.{2 if match[2] in attended else 1}.conv", match.end()
    end = match.end(4)
    slot = 1 if kind == "attentions" else 0
    if way == "down":
        return f"input_blocks.{1 + level * per_level + layer}.{slot}", end
    return f"output_blocks.{level * per_level + layer}.{slot}", end


def _vae_name(name: str, levels: int) -> str:
    name = re.sub(r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block.", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets\.", lambda match: f"up.{levels - 1 - int(match[1])}.block.", name)
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda match: f"up.{levels - 1 - int(match[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda match: f"mid.block_{int(match[1]) + 1}", name)
    if "mid_block.attentions.0." in name:
        head, _, tail = name.partition("mid_block.attentions.0.")
        part, _, kind = tail.rpartition(".")
        return f"{head}mid.attn_1.{_VAE_ATTENTION[part]}.{kind}"
    return name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
