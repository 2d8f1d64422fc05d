"""LTX-Video from single files: transformer and VAE in one, T5-XXL beside it. The layouts of 0.9.0 and 0.9.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXPipeline, LTXVideoTransformer3DModel
from diffusers.loaders.single_file_utils import (
    convert_ltx_transformer_checkpoint_to_diffusers,
    convert_ltx_vae_checkpoint_to_diffusers,
)

from swarm.base.errors import BadInput
from swarm.engine.checkpoint import Checkpoint
from swarm.engine.components import Source
from swarm.engine.encoders import t5
from swarm.engine.loader import refuse_gaps
from swarm.engine.shapes import count
from swarm.engine.tokenizer import t5_tokenizer
from swarm.engine.whole.single import Single, converted, denoiser_prefix

_MARKER = "patchify_proj.weight"
_HEADS = 32
_LAST = "encoder.conv_out.conv.weight"
_TIMED = "decoder.last_time_embedder.timestep_embedder.linear_1.weight"
_LATER_ENCODER = 2048
_FIRST_VAE: Mapping[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "decoder_block_out_channels": (128, 256, 512, 512),
    "layers_per_block": (4, 3, 3, 3, 4),
    "decoder_layers_per_block": (4, 3, 3, 3, 4),
    "spatio_temporal_scaling": (True, True, True, False),
    "decoder_spatio_temporal_scaling": (True, True, True, False),
}
_SECOND_VAE: Mapping[str, Any] = {
    **_FIRST_VAE,
    "decoder_block_out_channels": (256, 512, 1024),
    "decoder_layers_per_block": (5, 6, 7, 8),
    "decoder_spatio_temporal_scaling": (True, True, True),
    "decoder_inject_noise": (False, True, True, True),
    "upsample_residual": (True, True, True),
    "upsample_factor": (2, 2, 2),
    "timestep_conditioning": True,
}
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
        vae=_vae(file, single),
        text_encoder=_text_encoder(single),
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


def _vae(file: Checkpoint, single: Single) -> Any:
    """From the model's own file, else from the one beside it."""
    if not file.below("vae."):
        file = Checkpoint(single.part("vae", "VAE", "ltx_video_vae.safetensors").path)
    prefix = "vae." if file.below("vae.") else ""
    shapes = file.below(prefix)
    if _LAST not in shapes or shapes[_LAST][1] == _LATER_ENCODER:
        raise BadInput(
            f"The VAE in '{file.path.name}' is of a later LTX-Video than this server reads from single files. "
            "Use the model as a diffusers folder."
        )
    facts = _SECOND_VAE if _TIMED in shapes else _FIRST_VAE
    latents = {"latent_channels": shapes["per_channel_statistics.mean-of-means"][0]}
    config = {**facts, **latents, **file.config().get("vae", {})}

    def convert(tensors: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = convert_ltx_vae_checkpoint_to_diffusers({f"vae.{k}": v for k, v in tensors.items()})
        return found

    return converted(AutoencoderKLLTXVideo, config, file, prefix, convert, single.dtype)


def _text_encoder(single: Single) -> Any:
    part = single.part("t5xxl", "T5-XXL text encoder", "t5xxl_fp16.safetensors")
    source = Source(
        file=single.file,
        device=single.device,
        architecture=single.family,
        checkpoint=None,
        folder=None,
        parts=single.parts,
    )
    model: Any = t5(source, (), single.dtype)
    refuse_gaps(part.name, model)
    return model.to(single.dtype).eval()
