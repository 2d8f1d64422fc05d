"""Qwen-Image: a dual-stream transformer with a language model as text encoder."""

from __future__ import annotations

from dataclasses import replace

from swarm.architectures.architecture import Architecture, CompatClass
from swarm.architectures.families.latents import QWEN_LATENT
from swarm.architectures.header import Header
from swarm.architectures.rules import denoiser_shape, lora_for

COMPAT = CompatClass(id="qwen-image", short_code="Qwen", loras_target_text_enc=False, vae_family="qwenimage")


def is_qwen(header: Header) -> bool:
    """All keys below one common prefix."""
    for prefix in ("", "model.diffusion_model."):
        shared = (prefix + "time_text_embed.timestep_embedder.linear_1.bias", prefix + "img_in.bias")
        block = prefix + "transformer_blocks.0.attn."
        if header.has(*shared) and header.has_any(block + "add_k_proj.bias", block + "add_qkv_proj.bias"):
            return True
    return False


def _is_checkpoint(header: Header) -> bool:
    controlnet = header.has("controlnet_x_embedder.weight") or header.has("controlnet_blocks.0.bias")
    mage = (denoiser_shape(header, "txt_norm.weight") or (0,))[0] == 2560
    return is_qwen(header) and not controlnet and not mage


def _is_controlnet(header: Header) -> bool:
    return is_qwen(header) and header.has("controlnet_x_embedder.weight")


def _is_lora(header: Header) -> bool:
    added, block = "transformer_blocks.0.attn.add_k_proj", "transformer_blocks.0.img_mlp.net."
    whole = lora_for(header, added) and (lora_for(header, block + "0.proj") or lora_for(header, block + "2"))
    last = lora_for(header, "transformer_blocks.59.attn.to_k", "transformer_blocks.59.attn.to_out.0")
    kohya = header.has(
        "lora_unet_transformer_blocks_0_attn_add_k_proj.lora_down.weight",
        "lora_unet_transformer_blocks_0_img_mlp_net_0_proj.lora_down.weight",
    )
    return whole or last or kohya


QWEN_IMAGE = Architecture(
    id="qwen-image",
    name="Qwen Image",
    compat=COMPAT,
    standard_width=1328,
    standard_height=1328,
    detect=lambda header: _is_checkpoint(header) and not header.has("__index_timestep_zero__"),
    latent=QWEN_LATENT,
    prediction="flow",
    pipeline="QwenImagePipeline",
    adapter="qwen-image",
    flow_shift=3.0,
    default_schedule="simple",
    text_encoders=("qwen2.5vl",),
    text_width=3584,
)
QWEN_IMAGE_EDIT = replace(
    QWEN_IMAGE,
    id="qwen-image-edit",
    name="Qwen Image Edit",
    detect=None,
    pipeline="QwenImageEditPipeline",
    takes_references=True,
    looks_at_init=True,
    reference_pixels=1024 * 1024,
)
QWEN_IMAGE_EDIT_PLUS = replace(
    QWEN_IMAGE_EDIT,
    id="qwen-image-edit-plus",
    name="Qwen Image Edit Plus",
    detect=lambda header: _is_checkpoint(header) and header.has("__index_timestep_zero__"),
    pipeline="QwenImageEditPlusPipeline",
    negative_references=True,
)


def _companion(kind: str, name: str) -> Architecture:
    return Architecture(
        id=f"qwen-image/{kind}", name=f"Qwen Image {name}", compat=COMPAT, standard_width=1328, standard_height=1328
    )


QWEN_IMAGE_LORA = replace(_companion("lora", "LoRA"), detect=_is_lora)
QWEN_IMAGE_CONTROLNET = replace(_companion("controlnet", "ControlNet"), detect=_is_controlnet)
QWEN_IMAGE_VAE = _companion("vae", "VAE")
