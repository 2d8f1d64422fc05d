"""LTX-Video from single files: transformer and VAE in one, T5-XXL beside it. 0.9.0 to 0.9.8, 2B and 13B."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import FlowMatchEulerDiscreteScheduler, LTXPipeline, LTXVideoTransformer3DModel
from diffusers.loaders.single_file_utils import convert_ltx_transformer_checkpoint_to_diffusers

from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import count
from swarm.engine.whole.ltx_vae import ltx_vae
from swarm.engine.whole.single import Single, converted, denoiser_prefix, t5xxl
from swarm.engine.words.tokenizer import t5_tokenizer

_MARKER = "patchify_proj.weight"
_HEADS = 32
_NOISE = {
    "use_dynamic_shifting": True,
    "base_shift": 0.95,
    "max_shift": 2.05,
    "base_image_seq_len": 1024,
    "max_image_seq_len": 4096,
    "shift_terminal": 0.1,
}


def load_ltx(single: Single) -> Any:
    """The pipeline; from a picture it is another class over the same parts. Raises BadInput."""
    file = Checkpoint(single.file.path)
    prefix = denoiser_prefix(file, _MARKER)
    shapes = file.below(prefix)
    config = {**transformer_config(shapes), **file.config().get("transformer", {})}
    transformer = converted(
        LTXVideoTransformer3DModel,
        config,
        file,
        prefix,
        convert_ltx_transformer_checkpoint_to_diffusers,
        single.dtype,
        skips=lambda name: name.startswith("vae."),
    )
    return LTXPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**_NOISE),
        vae=ltx_vae(file, single),
        text_encoder=t5xxl(single),
        tokenizer=t5_tokenizer(),
        transformer=transformer,
    )


def transformer_config(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """What diffusers has to know, told by the shapes of the original layout."""
    width, channels = shapes[_MARKER]
    return {
        "in_channels": channels,
        "out_channels": shapes["proj_out.weight"][0],
        "num_attention_heads": _HEADS,
        "attention_head_dim": max(1, width // _HEADS),
        "cross_attention_dim": shapes["transformer_blocks.0.attn2.to_k.weight"][1],
        "num_layers": count(shapes, r"transformer_blocks\.(\d+)\."),
        "caption_channels": shapes["caption_projection.linear_1.weight"][1],
    }
