"""Single-model families of diffusion transformers: Sana, AuraFlow, HiDream, PixArt-Σ."""

from __future__ import annotations

from dataclasses import replace

from swarm.architectures.architecture import Architecture, CompatClass, LatentFormat
from swarm.architectures.families.latents import FLUX_LATENT, SDXL_LATENT
from swarm.architectures.header import Header
from swarm.architectures.rules import prefixed

_GATED_CONVOLUTION = "transformer_blocks.0.ff.conv_inverted.weight"
_JOINED_KEYS = "blocks.0.cross_attn.kv_linear.weight"


def _is_sana(header: Header) -> bool:
    original = ("attention_y_norm.weight", "blocks.0.attn.proj.weight")
    return prefixed(header, *original) or prefixed(header, "caption_norm.weight", _GATED_CONVOLUTION)


def _is_auraflow(header: Header) -> bool:
    if header.has("model.cond_seq_linear.weight", "model.double_layers.0.attn.w1k.weight"):
        return True
    original = ("cond_seq_linear.weight", "double_layers.0.attn.w1k.weight")
    diffusers = ("register_tokens", "joint_transformer_blocks.0.norm1_context.linear.weight")
    return prefixed(header, *original) or prefixed(header, *diffusers)


def _is_pixart(header: Header) -> bool:
    original = ("y_embedder.y_proj.fc1.weight", "t_block.1.weight", "blocks.0.mlp.fc1.weight", _JOINED_KEYS)
    diffusers = ("adaln_single.linear.weight", "pos_embed.proj.weight", "transformer_blocks.0.attn2.to_k.weight")
    return prefixed(header, *original) or prefixed(header, *diffusers)


def _is_hidream(header: Header) -> bool:
    return header.has("caption_projection.0.linear.weight")


SANA = Architecture(
    id="nvidia-sana-1600",
    name="NVIDIA Sana 1600M",
    compat=CompatClass(id="nvidia-sana-1600", short_code="Sana"),
    standard_width=1024,
    standard_height=1024,
    detect=_is_sana,
    latent=LatentFormat(channels=32, scale=0.41407, downscale=32),
    prediction="flow",
    pipeline="SanaPipeline",
    adapter="sana",
    flow_shift=3.0,
    text_encoders=("gemma2",),
)
AURAFLOW = replace(
    SANA,
    id="auraflow-v1",
    name="AuraFlow",
    compat=CompatClass(id="auraflow-v1", short_code="Aura", vae_family="sdxl"),
    detect=_is_auraflow,
    latent=SDXL_LATENT,
    pipeline="AuraFlowPipeline",
    adapter="auraflow",
    flow_shift=1.73,
    text_encoders=("pile_t5",),
)
HIDREAM = replace(
    SANA,
    id="hidream-i1",
    name="HiDream i1",
    compat=CompatClass(id="hidream-i1", short_code="HiDrm", loras_target_text_enc=False, vae_family="flux1"),
    detect=_is_hidream,
    latent=FLUX_LATENT,
    pipeline="HiDreamImagePipeline",
    adapter=None,
    text_encoders=("clip_l", "clip_g", "t5xxl", "llama"),
)
PIXART_SIGMA = replace(
    SANA,
    id="pixart-ms-sigma-xl-2",
    name="PixArtMS Sigma XL 2",
    compat=CompatClass(id="pixart-ms-sigma-xl-2", short_code="Pix", vae_family="sdxl"),
    detect=_is_pixart,
    latent=SDXL_LATENT,
    prediction="epsilon",
    pipeline="PixArtSigmaPipeline",
    adapter="pixart",
    beta_start=0.0001,
    beta_end=0.02,
    even_betas=True,
    flow_shift=None,
    text_encoders=("t5xxl",),
)
