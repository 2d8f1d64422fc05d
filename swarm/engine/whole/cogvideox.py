"""CogVideoX from single files: the transformer in diffusers' names or in ComfyUI's, with T5-XXL and the VAE beside it.
2B, 5B and 1.5, from text and from a picture."""

from __future__ import annotations

import re
from typing import Any

import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)

from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.whole.cogvideox_vae import cogvideox_vae
from swarm.engine.whole.single import Single, converted, denoiser_prefix, t5xxl
from swarm.engine.words.tokenizer import t5_tokenizer

_MARKER = "patch_embed.proj.weight"
_LEARNED = "patch_embed.pos_embedding"
_OFFSET = "ofs_embedding.linear_1.weight"
_SMALL_WIDTH = 1920
"""Of the 2B model, which knows places by sines; the others turn their queries and keys."""
_SMALL_SCALE, _SCALE = 1.15258426, 0.7
_LATER: dict[str, Any] = {
    "patch_size_t": 2,
    "sample_width": 300,
    "sample_height": 300,
    "sample_frames": 81,
    "max_text_seq_length": 224,
}
"""Of 1.5."""

_RESPELLED = (
    (re.compile(r"^blocks\.(\d+)\.([qkv])\."), r"transformer_blocks.\1.attn1.to_\2."),
    (re.compile(r"^blocks\.(\d+)\.norm_([qk])\."), r"transformer_blocks.\1.attn1.norm_\2."),
    (re.compile(r"^blocks\.(\d+)\.attn_out\."), r"transformer_blocks.\1.attn1.to_out.0."),
    (re.compile(r"^blocks\.(\d+)\.ff_proj\."), r"transformer_blocks.\1.ff.net.0.proj."),
    (re.compile(r"^blocks\.(\d+)\.ff_out\."), r"transformer_blocks.\1.ff.net.2."),
    (re.compile(r"^blocks\."), "transformer_blocks."),
    (re.compile(r"^(time|ofs)_embedding_linear_"), r"\1_embedding.linear_"),
)
"""ComfyUI's names in diffusers'."""


def load_cogvideox(single: Single) -> Any:
    """The pipeline. Raises BadInput for what it does not understand, and for companions that are missing."""
    file = Checkpoint(single.file.path)
    prefix = denoiser_prefix(file, _MARKER)
    shapes = {_name(name): shape for name, shape in file.below(prefix).items()}
    config = {**transformer_config(shapes), **file.config().get("transformer", {})}
    transformer = converted(CogVideoXTransformer3DModel, config, file, prefix, _converted, single.dtype)
    turned = bool(transformer.config.use_rotary_positional_embeddings)
    pictures = int(transformer.config.in_channels) > int(transformer.config.out_channels)
    kind = CogVideoXImageToVideoPipeline if pictures else CogVideoXPipeline
    return kind(
        tokenizer=t5_tokenizer(),
        text_encoder=t5xxl(single),
        vae=cogvideox_vae(single, scale=_SCALE if turned else _SMALL_SCALE, inverted=_OFFSET in shapes),
        transformer=transformer,
        scheduler=CogVideoXDDIMScheduler(
            snr_shift_scale=1.0 if turned else 3.0,
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            clip_sample=False,
        ),
    )


def transformer_config(shapes: Shapes) -> dict[str, Any]:
    """The config by its shapes."""
    width, *patch = shapes[_MARKER]
    later = len(patch) == 1  # frames are patched too, so it is one layer of numbers
    head = shapes["transformer_blocks.0.attn1.norm_q.weight"][0]
    cells = 8 if later else 4
    offset = shapes.get(_OFFSET)
    return {
        "num_attention_heads": width // head,
        "attention_head_dim": head,
        "in_channels": patch[0] // cells if later else patch[0],
        "out_channels": shapes["proj_out.weight"][0] // cells,
        "time_embed_dim": shapes["time_embedding.linear_1.weight"][0],
        "ofs_embed_dim": None if offset is None else offset[1],
        "text_embed_dim": shapes["patch_embed.text_proj.weight"][1],
        "num_layers": count(shapes, r"transformer_blocks\.(\d+)\."),
        "patch_bias": "patch_embed.proj.bias" in shapes,
        "use_rotary_positional_embeddings": width > _SMALL_WIDTH,
        "use_learned_positional_embeddings": _LEARNED in shapes,
        **(_LATER if later else {}),
    }


def _converted(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {_name(name): tensor for name, tensor in tensors.items()}


def _name(name: str) -> str:
    for pattern, spelled in _RESPELLED:
        name = pattern.sub(spelled, name)
    return name
