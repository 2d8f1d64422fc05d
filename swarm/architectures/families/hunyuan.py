"""Hunyuan Video, Hunyuan Video 1.5 and Hunyuan Image, with their LoRAs and VAEs."""

from __future__ import annotations

from swarm.architectures.architecture import CompatClass
from swarm.architectures.families.listed import listed
from swarm.architectures.rules import Rule, with_any, with_denoiser, with_keys, with_lora_for, with_size

VIDEO_COMPAT = CompatClass(
    id="hunyuan-video", short_code="HyVid", loras_target_text_enc=False, is_text2video=True, is_image2video=True
)
VIDEO_15_COMPAT = CompatClass(
    id="hunyuan-video-1_5", short_code="HyVid", loras_target_text_enc=False, is_text2video=True, is_image2video=True
)
IMAGE_COMPAT = CompatClass(id="hunyuan-image-2_1", short_code="HyImg", loras_target_text_enc=False)
REFINER_COMPAT = CompatClass(id="hunyuan-image-2_1-refiner", short_code="HyImg", loras_target_text_enc=False)

_VIDEO = with_any(
    "model.model.txt_in.individual_token_refiner.blocks.1.self_attn.qkv.weight",
    "txt_in.individual_token_refiner.blocks.1.self_attn_qkv.weight",
)
_K_NORM = with_keys("double_blocks.0.img_attn_k_norm.weight")
_IMAGE = with_keys("byt5_in.fc1.bias") & _K_NORM
_REFINER = _K_NORM & with_size(3328, 0, "time_r_in.mlp.0.bias")
_VIDEO_15 = with_keys("vision_in.proj.0.bias")
_ORIGINAL = _VIDEO & ~_IMAGE & ~_REFINER


def _reads(channels: int) -> Rule:
    """How many channels it sees: 16 of noise, and the picture to start from beside them."""
    name = "img_in.proj.weight"
    return with_size(
        channels, 1, name, "diffusion_model." + name, "model.diffusion_model." + name, "model.model." + name
    )


VIDEO_15_LORA_RULE = with_denoiser(
    "cond_type_embedding.lora_down.weight", "byt5_in.fc1.lora_down.weight", "vision_in.proj.1.lora_down.weight"
)
VIDEO_VAE_RULE = with_keys("decoder.conv_in.conv.bias", "decoder.mid.attn_1.k.bias")

HUNYUAN_VIDEO = listed(
    "hunyuan-video",
    "Hunyuan Video",
    VIDEO_COMPAT,
    720,
    detect=_ORIGINAL & ~_reads(32) & ~_reads(33),
    pipeline="HunyuanVideoPipeline",
)
HUNYUAN_VIDEO_SKYREELS_I2V = listed(
    "hunyuan-video-skyreels-i2v",
    "Hunyuan Video - SkyReels Image2Video",
    VIDEO_COMPAT,
    720,
    detect=_ORIGINAL & _reads(32),
)
HUNYUAN_VIDEO_I2V = listed(
    "hunyuan-video-i2v",
    "Hunyuan Video - Image2Video",
    VIDEO_COMPAT,
    720,
    detect=_ORIGINAL & _reads(33),
    pipeline="HunyuanVideoImageToVideoPipeline",
)
HUNYUAN_VIDEO_SKYREELS = listed("hunyuan-video-skyreels", "Hunyuan Video - SkyReels Text2Video", VIDEO_COMPAT, 720)
HUNYUAN_VIDEO_I2V_2 = listed(
    "hunyuan-video-i2v-v2",
    "Hunyuan Video - Image2Video v2 ('Fixed')",
    VIDEO_COMPAT,
    720,
    pipeline="HunyuanVideoImageToVideoPipeline",
)
HUNYUAN_VIDEO_VAE = listed("hunyuan-video/vae", "Hunyuan Video VAE", VIDEO_COMPAT, 720, detect=VIDEO_VAE_RULE)
HUNYUAN_VIDEO_LORA = listed(
    "hunyuan-video/lora",
    "Hunyuan Video LoRA",
    VIDEO_COMPAT,
    720,
    detect=with_keys("transformer.single_blocks.9.modulation.linear.lora_B.weight")
    | with_lora_for("double_blocks.9.txt_mod.linear"),
)

HUNYUAN_VIDEO_15 = listed(
    "hunyuan-video-1_5",
    "Hunyuan Video 1.5",
    VIDEO_15_COMPAT,
    960,
    detect=_IMAGE & _VIDEO_15,
    pipeline="HunyuanVideo15Pipeline",
)
HUNYUAN_VIDEO_15_SR = listed("hunyuan-video-1_5-sr", "Hunyuan Video 1.5 SuperResolution", VIDEO_15_COMPAT, 960)
HUNYUAN_VIDEO_15_LORA = listed(
    "hunyuan-video-1_5/lora",
    "Hunyuan Video 1.5 LoRA",
    VIDEO_15_COMPAT,
    960,
    detect=VIDEO_15_LORA_RULE,
)

HUNYUAN_IMAGE = listed("hunyuan-image-2_1", "Hunyuan Image", IMAGE_COMPAT, 2048, detect=_IMAGE & ~_REFINER & ~_VIDEO_15)
HUNYUAN_IMAGE_LORA = listed("hunyuan-image-2_1/lora", "Hunyuan Image LoRA", IMAGE_COMPAT, 2048)
HUNYUAN_IMAGE_VAE = listed("hunyuan-image-2_1/vae", "Hunyuan Image VAE", IMAGE_COMPAT, 2048)
HUNYUAN_IMAGE_REFINER = listed(
    "hunyuan-image-2_1-refiner",
    "Hunyuan Image Refiner",
    REFINER_COMPAT,
    2048,
    detect=_REFINER & ~_VIDEO_15,
)
HUNYUAN_IMAGE_REFINER_LORA = listed(
    "hunyuan-image-2_1-refiner/lora", "Hunyuan Image Refiner LoRA", REFINER_COMPAT, 2048
)
HUNYUAN_IMAGE_REFINER_VAE = listed("hunyuan-image-2_1-refiner/vae", "Hunyuan Image Refiner VAE", REFINER_COMPAT, 2048)
