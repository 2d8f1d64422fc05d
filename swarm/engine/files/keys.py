"""Tensor names of the original layouts (LDM, OpenCLIP) in the spelling of diffusers and transformers. Pure."""

from __future__ import annotations

import re

_RESNET = (
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("emb_layers.1", "time_emb_proj"),
    ("skip_connection", "conv_shortcut"),
)
_UNET_ENDS = (
    ("time_embed.0.", "time_embedding.linear_1."),
    ("time_embed.2.", "time_embedding.linear_2."),
    ("label_emb.0.0.", "add_embedding.linear_1."),
    ("label_emb.0.2.", "add_embedding.linear_2."),
    ("input_blocks.0.0.", "conv_in."),
    ("out.0.", "conv_norm_out."),
    ("out.2.", "conv_out."),
)
_BLOCK = re.compile(r"(input_blocks|output_blocks)\.(\d+)\.(\d+)\.(.+)")
_MIDDLE = re.compile(r"middle_block\.(\d+)\.(.+)")
_VAE_BLOCK = re.compile(r"(encoder|decoder)\.(down|up)\.(\d+)\.(block|downsample|upsample)\.(.+)")
_VAE_MIDDLE = re.compile(r"(encoder|decoder)\.mid\.(block|attn)_(\d)\.(.+)")
_VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_OPEN_CLIP = (
    ("token_embedding.weight", "embeddings.token_embedding.weight"),
    ("positional_embedding", "embeddings.position_embedding.weight"),
    ("ln_final.", "final_layer_norm."),
)
_OPEN_CLIP_LAYER = (
    ("transformer.resblocks.", "encoder.layers."),
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
    (".attn.out_proj.", ".self_attn.out_proj."),
)


def unet_key(name: str, layers: int) -> str | None:
    """The diffusers name of a tensor below `model.diffusion_model.`; None for names that belong to nothing we know.

    `layers`: residual blocks per level (shapes.unet_layers).
    """
    for old, new in _UNET_ENDS:
        if name.startswith(old):
            return new + name[len(old) :]
    if match := _MIDDLE.fullmatch(name):
        block, rest = int(match[1]), match[2]
        if block == 1:
            return f"mid_block.attentions.0.{rest}"
        return f"mid_block.resnets.{block // 2}.{_resnet(rest)}"
    if match := _BLOCK.fullmatch(name):
        return _level_key(match[1], int(match[2]), int(match[3]), match[4], layers)
    return None


def _level_key(side: str, block: int, part: int, rest: str, layers: int) -> str | None:
    position = block - 1 if side == "input_blocks" else block
    level, layer = divmod(position, layers + 1)
    home = f"{'down' if side == 'input_blocks' else 'up'}_blocks.{level}"
    if part == 0 and rest.startswith("op."):
        return f"{home}.downsamplers.0.conv.{rest[3:]}"
    if part > 0 and rest.startswith("conv."):
        return f"{home}.upsamplers.0.{rest}"
    if part == 0:
        return f"{home}.resnets.{layer}.{_resnet(rest)}"
    return f"{home}.attentions.{layer}.{rest}"


def _resnet(rest: str) -> str:
    for old, new in _RESNET:
        if rest.startswith(old):
            return new + rest[len(old) :]
    return rest


def vae_key(name: str, levels: int) -> str | None:
    """The diffusers name of a tensor below `first_stage_model.`; `levels`: how many levels the VAE has."""
    if match := _VAE_BLOCK.fullmatch(name):
        side, way, level, kind, rest = match[1], match[2], int(match[3]), match[4], match[5]
        home = f"{side}.{way}_blocks.{level if way == 'down' else levels - 1 - level}"
        if kind == "block":
            return f"{home}.resnets.{rest.replace('nin_shortcut', 'conv_shortcut')}"
        return f"{home}.{kind}rs.0.{rest}"
    if match := _VAE_MIDDLE.fullmatch(name):
        side, kind, number, rest = match[1], match[2], int(match[3]), match[4]
        if kind == "block":
            return f"{side}.mid_block.resnets.{number - 1}.{rest.replace('nin_shortcut', 'conv_shortcut')}"
        part, _, end = rest.rpartition(".")
        return f"{side}.mid_block.attentions.0.{_VAE_ATTENTION.get(part, part)}.{end}"
    if name.startswith(("encoder.norm_out.", "decoder.norm_out.")):
        return name.replace("norm_out", "conv_norm_out")
    known = ("encoder.conv_", "decoder.conv_", "quant_conv.", "post_quant_conv.")
    return name if name.startswith(known) else None


def open_clip_key(name: str) -> str | None:
    """The transformers name (without `text_model.`) of an OpenCLIP text tensor; fused projections keep `in_proj`."""
    for old, new in _OPEN_CLIP:
        if name.startswith(old):
            return new + name[len(old) :]
    if name == "text_projection":
        return "text_projection.weight"
    if not name.startswith("transformer.resblocks."):
        return None
    for old, new in _OPEN_CLIP_LAYER:
        name = name.replace(old, new)
    return name
