"""Component configs read off tensor shapes, for checkpoints in the original Stable Diffusion layout. Pure.

Everything but the number of attention heads and the norm groups can be seen in the shapes; for those the families' own
rules are used (8 heads in SD 1, heads of 64 channels in SD 2 and XL; 32 groups), unless the file says otherwise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from swarm.base.errors import BadInput

Shapes = Mapping[str, tuple[int, ...]]


def count(names: Shapes, pattern: str) -> int:
    """How many different numbers stand where `pattern` has its group."""
    finder = re.compile(pattern)
    return len({match[1] for match in map(finder.match, names) if match})


def groups(channels: list[int]) -> int:
    """Norm groups that divide all channel counts: 32 where that is possible."""
    return math.gcd(32, *channels)


def unet_layers(shapes: Shapes) -> int:
    """Residual blocks per level: input block 0 is the first convolution, the first downsampler ends level 0."""
    inputs = count(shapes, r"input_blocks\.(\d+)\.")
    downs = [block for block in range(1, inputs) if f"input_blocks.{block}.0.op.weight" in shapes]
    return (downs[0] if downs else inputs) - 1


def unet_config(shapes: Shapes) -> dict[str, Any]:
    """UNet2DConditionModel's config from the names and shapes below `model.diffusion_model.`. Raises BadInput."""
    try:
        return _unet_config(shapes)
    except KeyError as error:
        raise BadInput(f"This file's denoiser lacks the tensor {error}; it is not a complete SD checkpoint.") from None


def _unet_config(shapes: Shapes) -> dict[str, Any]:
    layers = unet_layers(shapes)
    levels = (count(shapes, r"input_blocks\.(\d+)\.")) // (layers + 1)
    starts = [1 + level * (layers + 1) for level in range(levels)]
    channels = [shapes[f"input_blocks.{start}.0.out_layers.3.weight"][0] for start in starts]
    depths = [count(shapes, rf"input_blocks\.{start}\.1\.transformer_blocks\.(\d+)\.") for start in starts]
    middle = count(shapes, r"middle_block\.1\.transformer_blocks\.(\d+)\.")
    if depths[-1] not in (0, middle):
        raise BadInput("This denoiser's middle block differs from its last level; that layout is not supported.")
    crossed = next(level for level, depth in enumerate(depths) if depth)
    linear = len(shapes[f"input_blocks.{starts[crossed]}.1.proj_in.weight"]) == 2
    context = shapes[f"input_blocks.{starts[crossed]}.1.transformer_blocks.0.attn2.to_k.weight"][1]
    config = _unet_blocks(channels, depths, middle, linear=linear)
    config |= {
        "in_channels": shapes["input_blocks.0.0.weight"][1],
        "out_channels": shapes["out.2.weight"][0],
        "layers_per_block": layers,
        "cross_attention_dim": context,
    }
    return config | _sizes_told(shapes.get("label_emb.0.0.weight"))


def _unet_blocks(channels: list[int], depths: list[int], middle: int, *, linear: bool) -> dict[str, Any]:
    return {
        "block_out_channels": tuple(channels),
        "down_block_types": tuple("CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths),
        "up_block_types": tuple("CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)),
        "transformer_layers_per_block": tuple(depth or middle for depth in depths),
        "attention_head_dim": tuple(max(1, width // 64) for width in channels) if linear else 8,
        "use_linear_projection": linear,
        "norm_num_groups": groups(channels),
        "sample_size": 64,
    }


def _sizes_told(shape: tuple[int, ...] | None) -> dict[str, Any]:
    """What UNets that are told sizes have besides."""
    if shape is None:
        return {}
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": shape[1],
    }


def diffusers_unet_config(shapes: Shapes) -> dict[str, Any]:
    """The same from names in diffusers' spelling. Raises BadInput."""
    try:
        return _diffusers_unet_config(shapes)
    except KeyError as error:
        raise BadInput(f"This file's denoiser lacks the tensor {error}; it is not a complete UNet.") from None


def _diffusers_unet_config(shapes: Shapes) -> dict[str, Any]:
    levels = range(count(shapes, r"down_blocks\.(\d+)\."))
    channels = [shapes[f"down_blocks.{level}.resnets.0.conv1.weight"][0] for level in levels]
    pattern = r"down_blocks\.{}\.attentions\.0\.transformer_blocks\.(\d+)\."
    depths = [count(shapes, pattern.format(level)) for level in levels]
    middle = count(shapes, r"mid_block\.attentions\.0\.transformer_blocks\.(\d+)\.")
    crossed = f"down_blocks.{next(level for level in levels if depths[level])}.attentions.0."
    config = _unet_blocks(channels, depths, middle, linear=len(shapes[crossed + "proj_in.weight"]) == 2)
    config |= {
        "in_channels": shapes["conv_in.weight"][1],
        "out_channels": shapes["conv_out.weight"][0],
        "layers_per_block": count(shapes, r"down_blocks\.0\.resnets\.(\d+)\."),
        "cross_attention_dim": shapes[crossed + "transformer_blocks.0.attn2.to_k.weight"][1],
    }
    return config | _sizes_told(shapes.get("add_embedding.linear_1.weight"))


def vae_config(shapes: Shapes, *, scaling_factor: float) -> dict[str, Any]:
    """AutoencoderKL's config from the names and shapes below `first_stage_model.`, for any number of levels."""
    try:
        levels = count(shapes, r"encoder\.down\.(\d+)\.")
        channels = [shapes[f"encoder.down.{level}.block.0.conv1.weight"][0] for level in range(levels)]
        latent = shapes["decoder.conv_in.weight"][1]
        outs = shapes["decoder.conv_out.weight"][0]
        ins = shapes["encoder.conv_in.weight"][1]
    except KeyError as error:
        raise BadInput(f"This file's VAE lacks the tensor {error}; it is not a complete SD checkpoint.") from None
    return {
        "in_channels": ins,
        "out_channels": outs,
        "latent_channels": latent,
        "block_out_channels": tuple(channels),
        "layers_per_block": count(shapes, r"encoder\.down\.0\.block\.(\d+)\."),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "norm_num_groups": groups(channels),
        "mid_block_add_attention": "encoder.mid.attn_1.q.weight" in shapes,
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
        "scaling_factor": scaling_factor,
        "sample_size": 512,
    }


def clip_config(shapes: Shapes, *, activation: str) -> dict[str, Any]:
    """CLIPTextConfig's entries from names in transformers' spelling (without `text_model.`)."""
    try:
        vocabulary, width = shapes["embeddings.token_embedding.weight"]
        positions = shapes["embeddings.position_embedding.weight"][0]
        inner = shapes["encoder.layers.0.mlp.fc1.weight"][0]
    except KeyError as error:
        raise BadInput(f"This file's text encoder lacks the tensor {error}; it is not a complete checkpoint.") from None
    projection = shapes.get("text_projection.weight", (width,))[0]
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": count(shapes, r"encoder\.layers\.(\d+)\."),
        "num_attention_heads": max(1, width // 64),
        "max_position_embeddings": positions,
        "projection_dim": projection,
        "hidden_act": activation,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "pad_token_id": vocabulary - 1,
    }


def t5_config(shapes: Shapes) -> dict[str, Any]:
    """T5Config's entries for an encoder, from names in transformers' spelling. Raises BadInput."""
    first = "encoder.block.0.layer.0.SelfAttention."
    try:
        vocabulary, width = shapes["shared.weight"]
        buckets, heads = shapes[first + "relative_attention_bias.weight"]
        inner = shapes[first + "q.weight"][0]
        feed_forward = shapes["encoder.block.0.layer.1.DenseReluDense.wi_0.weight"][0]
    except KeyError as error:
        raise BadInput(f"This T5 text encoder lacks the tensor {error}; it is not a complete one.") from None
    return {
        "vocab_size": vocabulary,
        "d_model": width,
        "d_kv": inner // heads,
        "d_ff": feed_forward,
        "num_layers": count(shapes, r"encoder\.block\.(\d+)\."),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu",
    }
