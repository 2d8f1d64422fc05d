"""Classes that SwarmUI knows since 0.9.8.2, recognised and listed: Qwen-Image 2.1, SenseNova, SAM 3 and YuE 2."""

from __future__ import annotations

from swarm.architectures.architecture import CompatClass
from swarm.architectures.families.listed import listed
from swarm.architectures.header import Header
from swarm.architectures.rules import denoiser_shape, with_denoiser, with_lora_for

QWEN_21_COMPAT = CompatClass(
    id="qwen-image-2.1",
    short_code="Qwen21",
    loras_target_text_enc=False,
    vae_family="qwenimage21",
    resolution_precision=32,
)
SENSENOVA_COMPAT = CompatClass(id="sensenova-u1.5", short_code="SNU15", loras_target_text_enc=False)
SAM_3_COMPAT = CompatClass(id="sam3", short_code="SAM3", loras_target_text_enc=False)
YUE_2_COMPAT = CompatClass(id="yue-2", short_code="YuE2", is_audio_model=True)


def _is_qwen_21_vae(header: Header) -> bool:
    """Red, green, blue and alpha come out, one frame at a time."""
    head = header.shape("decoder.head.2.weight")
    deep = header.has("decoder.upsamples.0.upsamples.0.residual.2.weight")
    return deep and head is not None and len(head) == 5 and (head[0], head[2]) == (4, 1)


def _is_sensenova(header: Header) -> bool:
    seen = denoiser_shape(header, "fm_modules.vision_model_mot_gen.embeddings.patch_embedding.weight")
    asked = denoiser_shape(header, "language_model.model.layers.0.self_attn.q_proj_mot_gen.weight")
    return (seen or (0,))[0] == 1024 and (asked or (0,))[0] == 4096


QWEN_IMAGE_21 = listed(
    "qwen-image-2.1",
    "Qwen Image 2.1",
    QWEN_21_COMPAT,
    1024,
    detect=with_denoiser("txt_in.text_norm.weight", "modulation.1.weight", "transformer_blocks.0.attn.norm_q.weight"),
)
QWEN_IMAGE_21_LORA = listed(
    "qwen-image-2.1/lora",
    "Qwen Image 2.1 LoRA",
    QWEN_21_COMPAT,
    1024,
    detect=with_lora_for("transformer_blocks.0.attn.to_k")
    & (
        with_lora_for("modulation.1")
        | with_lora_for("transformer_blocks.0.img_mlp.gate_layer")
        | with_lora_for("transformer_blocks.0.img_mlp.proj")
    ),
)
QWEN_IMAGE_21_VAE = listed("qwen-image-2.1/vae", "Qwen Image 2.1 VAE", QWEN_21_COMPAT, 1024, detect=_is_qwen_21_vae)
SENSENOVA_U15 = listed("sensenova-u1.5", "SenseNova U1.5", SENSENOVA_COMPAT, 2048, detect=_is_sensenova)
SAM_3 = listed(
    "sam3",
    "SAM3",
    SAM_3_COMPAT,
    0,
    detect=with_denoiser(
        "detector.backbone.vision_backbone.trunk.blocks.0.attn.qkv.weight",
        "detector.transformer.decoder.query_embed.weight",
    ),
)
YUE_2 = listed(
    "yue-2",
    "YuE2",
    YUE_2_COMPAT,
    0,
    detect=with_denoiser(
        "vae2llm.weight",
        "llm2vae.weight",
        "latent_pos_embed.pe",
        "model.layers.0.self_attn.qkv_proj.weight",
        "time_embedder.mlp.0.weight",
    ),
)
