"""Lightricks LTX Video and LTX Video 2, which makes sound as well."""

from __future__ import annotations

from swarm.architectures.architecture import CompatClass
from swarm.architectures.families.hunyuan import VIDEO_VAE_RULE
from swarm.architectures.families.listed import listed
from swarm.architectures.rules import with_denoiser, with_keys, with_lora_for

COMPAT = CompatClass(id="lightricks-ltx-video", short_code="LTXV", is_text2video=True, is_image2video=True)
COMPAT_2 = CompatClass(
    id="lightricks-ltx-video-2",
    short_code="LTXV2",
    is_text2video=True,
    is_image2video=True,
    has_joint_av_latents=True,
)

_FIRST = with_denoiser("adaln_single.emb.timestep_embedder.linear_1.bias")
_SECOND = with_denoiser("transformer_blocks.1.audio_to_video_attn.k_norm.weight")
_SECOND_3 = with_denoiser("text_embedding_projection.audio_aggregate_embed.weight") | with_denoiser(
    "transformer_blocks.1.prompt_scale_shift_table"
)
_SECOND_5 = with_denoiser("keyframes_abs_pos_embedding", "audio_patchify_proj.weight", "audio_proj_out.weight")
_DECODER = with_keys("decoder.conv_in.conv.bias")
_TIMED = with_keys("decoder.last_time_embedder.timestep_embedder.linear_1.bias")
_VAE_5 = with_keys(
    "decoder.conv_in_x_t.weight", "decoder.shared_adaln.proj.weight", "decoder.diff_blocks.0.context_proj.weight"
)
_VAE_3 = _DECODER & ~_TIMED & ~with_keys("per_channel_statistics.channel") & ~VIDEO_VAE_RULE
_AUDIO_VAE_3 = with_keys("audio_vae.decoder.conv_in.conv.bias", "vocoder.mel_stft.mel_basis") & ~_SECOND


def _attention(kind: str) -> tuple[str, ...]:
    return (
        f"transformer_blocks.0.{kind}1.to_k",
        f"transformer_blocks.0.{kind}1.to_out.0",
        "transformer_blocks.9.attn2.to_v" if kind == "attn" else "transformer_blocks.9.audio_attn1.to_v",
    )


LTX_VIDEO = listed(
    "lightricks-ltx-video", "Lightricks LTX Video", COMPAT, 768, 512, detect=_FIRST & ~_SECOND, pipeline="LTXPipeline"
)
LTX_VIDEO_VAE = listed(
    "lightricks-ltx-video/vae", "Lightricks LTX Video VAE", COMPAT, 768, 512, detect=_DECODER & _TIMED
)
LTX_VIDEO_2 = listed(
    "lightricks-ltx-video-2", "Lightricks LTX Video 2", COMPAT_2, 960, detect=_SECOND & ~_SECOND_3 & ~_SECOND_5
)
LTX_VIDEO_2_LORA = listed(
    "lightricks-ltx-video-2/lora",
    "Lightricks LTX Video 2 LoRA",
    COMPAT_2,
    960,
    detect=with_lora_for(*_attention("attn")) | with_lora_for(*_attention("audio_attn")),
)
LTX_VIDEO_2_3 = listed(
    "lightricks-ltx-video-2-3", "Lightricks LTX Video 2.3", COMPAT_2, 960, detect=_SECOND & _SECOND_3 & ~_SECOND_5
)
LTX_VIDEO_2_3_VAE = listed(
    "lightricks-ltx-video-2-3/vae",
    "Lightricks LTX Video 2.3 VAE",
    COMPAT_2,
    960,
    detect=(_VAE_3 | _AUDIO_VAE_3) & ~_VAE_5,
)
LTX_VIDEO_2_5 = listed(
    "lightricks-ltx-video-2-5", "Lightricks LTX Video 2.5", COMPAT_2, 960, detect=_SECOND & _SECOND_5
)
LTX_VIDEO_2_5_VAE = listed("lightricks-ltx-video-2-5/vae", "Lightricks LTX Video 2.5 VAE", COMPAT_2, 960, detect=_VAE_5)
