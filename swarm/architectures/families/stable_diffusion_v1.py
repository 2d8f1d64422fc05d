"""Stable Diffusion 1.x: a UNet with one CLIP text encoder, and the files made for it."""

from __future__ import annotations

from dataclasses import replace

from swarm.architectures.architecture import Architecture, CompatClass
from swarm.architectures.families.latents import SD1_LATENT
from swarm.architectures.header import Header

COMPAT = CompatClass(id="stable-diffusion-v1", short_code="SDv1")

_UNET_INPUT = "model.diffusion_model.input_blocks.0.0.weight"
_TEXT = "cond_stage_model.transformer.text_model.embeddings."
_LORA_INPUTS = (".lora_down.weight", ".lora.down.weight", ".lora_A.weight", ".lora_A.default.weight")
_XL_TEXT = "conditioner.embedders.0.transformer.text_model.embeddings.position_embedding.weight"


def unet_inputs(header: Header) -> int | None:
    """Channels the UNet reads: 4 as trained first, 9 for inpainting, 8 for editing by instruction."""
    shape = header.shape(_UNET_INPUT)
    return shape[1] if shape is not None and len(shape) == 4 else None


def embedding_width(header: Header) -> int | None:
    """Last dimension of a textual inversion's vectors; None for other files."""
    shape = header.shape("emb_params")
    if shape is None and len(header.tensors) == 1:
        [(name, tensor)] = header.tensors.items()
        shape = tensor.shape if name.startswith("<") and name.endswith(">") else None
    return shape[-1] if shape else None


def is_controlnet_unet(header: Header) -> bool:
    return header.has_any("input_blocks.1.0.emb_layers.1.bias", "control_model.input_blocks.1.0.emb_layers.1.bias")


def is_lora_sdxl(header: Header) -> bool:
    """SDXL's LoRAs hold SD1's block names too, so both rules need this one."""
    flux = header.has_any(
        "lora_unet_double_blocks_0_img_attn_proj.lora_down.weight", "lora_unet_single_blocks_0_linear1.lora_down.weight"
    )
    return (
        header.has("lora_unet_output_blocks_5_1_transformer_blocks_1_ff_net_2.lora_up.weight")
        or header.has("lora_unet_down_blocks_2_attentions_1_transformer_blocks_9_attn2_to_v.lora_up.weight")
        or (header.has("lora_te1_text_model_encoder_layers_0_self_attn_v_proj.lora_up.weight") and not flux)
        or lora_text_width(header) == 2048
    )


def lora_text_width(header: Header) -> int | None:
    """Width of the prompt embedding a UNet LoRA reads: 768, 1024 and 2048 tell the Stable Diffusions apart."""
    for name in header.tensors:
        if ("attn2_to_k" in name or "attn2.to_k" in name) and name.endswith(_LORA_INPUTS):
            shape = header.tensors[name].shape
            return shape[1] if len(shape) > 1 else None
    return None


def _is_checkpoint(header: Header) -> bool:
    text = header.has_any(
        _TEXT + "position_ids",
        _TEXT + "token_embedding.weight",  # files written by newer tools leave the constant position_ids out
        "cond_stage_model.transformer.embeddings.position_ids",
    )
    foreign = header.has_any(
        "cond_stage_model.roberta.embeddings.word_embeddings.weight", "cond_stage_model.model.ln_final.bias", _XL_TEXT
    )
    transformer = header.has_any("model.diffusion_model.joint_blocks.0.context_block.attn.proj.bias")
    return text and not foreign and not transformer and not is_controlnet_unet(header)


def _is_plain(header: Header) -> bool:
    return _is_checkpoint(header) and unet_inputs(header) not in (8, 9)


def _is_inpaint(header: Header) -> bool:
    return _is_checkpoint(header) and unet_inputs(header) == 9


def _is_lora(header: Header) -> bool:
    ours = header.has("lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_ff_net_2.lora_up.weight")
    return (ours or lora_text_width(header) == 768) and not is_lora_sdxl(header)


def _is_controlnet(header: Header) -> bool:
    foreign = header.has("lora_controlnet") or header.has(
        "controlnet_blocks.0.bias", "transformer_blocks.0.ff.net.0.proj.bias"
    )
    return is_controlnet_unet(header) and not foreign


SD1 = Architecture(
    id="stable-diffusion-v1",
    name="Stable Diffusion v1",
    compat=COMPAT,
    standard_width=512,
    standard_height=512,
    detect=_is_plain,
    latent=SD1_LATENT,
    prediction="epsilon",
    pipeline="StableDiffusionPipeline",
    adapter="unet",
    text_encoders=("clip_l",),
    text_width=768,
)


def _companion(id: str, name: str) -> Architecture:
    return Architecture(id=id, name=name, compat=COMPAT, standard_width=512, standard_height=512)


SD1_INPAINTING = replace(
    SD1,
    id="stable-diffusion-v1-inpainting",
    name="Stable Diffusion v1 (Inpainting)",
    detect=None,
    pipeline="StableDiffusionInpaintPipeline",
)
SD1_INPAINT = replace(SD1_INPAINTING, id="stable-diffusion-v1/inpaint", detect=_is_inpaint)
SD1_LORA = replace(_companion("stable-diffusion-v1/lora", "Stable Diffusion v1 LoRA"), detect=_is_lora)
SD1_CONTROLNET = replace(
    _companion("stable-diffusion-v1/controlnet", "Stable Diffusion v1 ControlNet"), detect=_is_controlnet
)
SD1_EMBEDDING = replace(
    _companion("stable-diffusion-v1/textual-inversion", "Stable Diffusion v1 Embedding"),
    detect=lambda header: embedding_width(header) == 768,
)
SD1_VAE = _companion("stable-diffusion-v1/vae", "Stable Diffusion v1 VAE")
