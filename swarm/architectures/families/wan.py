"""Wan 2.1 and 2.2: video transformers in three sizes."""

from __future__ import annotations

from dataclasses import replace

from swarm.architectures.architecture import Architecture, CompatClass, Detector
from swarm.architectures.families.latents import QWEN_LATENT
from swarm.architectures.families.video_latents import WAN_22_LATENT
from swarm.architectures.header import Header
from swarm.architectures.rules import denoiser_shape, prefixed


def _compat(id: str, code: str) -> CompatClass:
    return CompatClass(id=id, short_code=code, loras_target_text_enc=False, is_text2video=True, is_image2video=True)


SMALL_COMPAT = _compat("wan-21-1_3b", "Wan1B")
LARGE_COMPAT = _compat("wan-21-14b", "Wan14B")
MIDDLE_COMPAT = _compat("wan-22-5b", "Wan5B")
VAE_COMPAT = _compat("wan-21", "Wan14B")
_SMALL, _LARGE, _MIDDLE = 1536, 5120, 3072
_LORA_KEYS = (
    "blocks.0.cross_attn.k.lora_A.weight",
    "blocks.0.cross_attn.k.lora_down.weight",
    "blocks.1.cross_attn.k.lora_down.weight",
    "lora_unet_blocks_0_cross_attn_k.lora_down.weight",
)


def _width(header: Header) -> int | None:
    key = "blocks.0.cross_attn.k.bias"
    shape = header.shape("model.diffusion_model." + key, key)
    return shape[0] if shape else None


def _reads_picture(header: Header) -> bool:
    return header.has_any("model.diffusion_model.blocks.0.cross_attn.k_img.bias", "blocks.0.cross_attn.k_img.bias")


def _is_vace(header: Header) -> bool:
    return prefixed(header, "vace_blocks.0.after_proj.bias")


def _is_first_last(header: Header) -> bool:
    return prefixed(header, "img_emb.emb_pos")


def _takes_36(header: Header) -> bool:
    """Latents beside noise, channels 36; GGUF turns the dimensions around."""
    shape = header.shape("patch_embedding.weight", "model.diffusion_model.patch_embedding.weight")
    return shape is not None and len(shape) >= 2 and 36 in (shape[1], shape[-2])


def _lora_of(width: int) -> Detector:
    def detect(header: Header) -> bool:
        shape = next((found for key in _LORA_KEYS if (found := denoiser_shape(header, key)) is not None), None)
        return shape is not None and len(shape) > 1 and shape[1] == width

    return detect


def _plain(header: Header, width: int) -> bool:
    return _width(header) == width and not _is_vace(header)


WAN_SMALL = Architecture(
    id="wan-2_1-text2video-1_3b",
    name="Wan 2.1 Text2Video 1.3B",
    compat=SMALL_COMPAT,
    standard_width=640,
    standard_height=640,
    detect=lambda header: _plain(header, _SMALL) and not _reads_picture(header),
    latent=QWEN_LATENT,
    prediction="flow",
    pipeline="WanPipeline",
    flow_shift=8.0,
    default_schedule="simple",
    text_encoders=("umt5xxl",),
    text_width=4096,
)
WAN_SMALL_PICTURE = replace(
    WAN_SMALL,
    id="wan-2_1-image2video-1_3b",
    name="Wan 2.1 Image2Video 1.3B",
    detect=lambda header: _plain(header, _SMALL) and _reads_picture(header),
    pipeline="WanImageToVideoPipeline",
)
WAN_SMALL_VACE = replace(
    WAN_SMALL,
    id="wan-2_1-vace-1_3b",
    name="Wan 2.1 Vace 1.3B",
    standard_width=960,
    standard_height=960,
    detect=lambda header: _width(header) == _SMALL and _is_vace(header) and not _is_first_last(header),
    pipeline="WanVACEPipeline",
)
WAN_LARGE = replace(
    WAN_SMALL,
    id="wan-2_1-text2video-14b",
    name="Wan 2.1 Text2Video 14B",
    compat=LARGE_COMPAT,
    standard_width=960,
    standard_height=960,
    detect=lambda header: _plain(header, _LARGE) and not _reads_picture(header) and not _takes_36(header),
)
WAN_LARGE_PICTURE = replace(
    WAN_LARGE,
    id="wan-2_1-image2video-14b",
    name="Wan 2.1 Image2Video 14B",
    standard_width=640,
    standard_height=640,
    detect=lambda header: (
        _plain(header, _LARGE)
        and _reads_picture(header)
        and header.has_any("img_emb.proj.0.bias", "model.diffusion_model.img_emb.proj.0.bias")
        and not _is_first_last(header)
    ),
    pipeline="WanImageToVideoPipeline",
)
WAN_FIRST_LAST = replace(
    WAN_LARGE,
    id="wan-2_1-flf2v-14b",
    name="Wan 2.1 First/LastFrame2Video 14B",
    detect=lambda header: _plain(header, _LARGE) and _reads_picture(header) and _is_first_last(header),
    pipeline="WanImageToVideoPipeline",
)
WAN_LARGE_VACE = replace(
    WAN_SMALL_VACE,
    id="wan-2_1-vace-14b",
    name="Wan 2.1 Vace 14B",
    compat=LARGE_COMPAT,
    detect=lambda header: _width(header) == _LARGE and _is_vace(header) and not _is_first_last(header),
)
WAN_22_PICTURE = replace(
    WAN_LARGE,
    id="wan-2_2-image2video-14b",
    name="Wan 2.2 Image2Video 14B",
    detect=lambda header: _plain(header, _LARGE) and _takes_36(header) and not _reads_picture(header),
    pipeline="WanImageToVideoPipeline",
)
WAN_22_MIDDLE = replace(
    WAN_LARGE,
    id="wan-2_2-ti2v-5b",
    name="Wan 2.2 Text/Image2Video 5B",
    compat=MIDDLE_COMPAT,
    detect=lambda header: _width(header) == _MIDDLE,
    latent=WAN_22_LATENT,
)


def _companion(id: str, name: str, compat: CompatClass, side: int) -> Architecture:
    return Architecture(id=id, name=name, compat=compat, standard_width=side, standard_height=side)


WAN_SMALL_LORA = replace(
    _companion("wan-2_1-text2video-1_3b/lora", "Wan 2.1 Text2Video 1.3B LoRA", SMALL_COMPAT, 640),
    detect=_lora_of(_SMALL),
)
WAN_LARGE_LORA = replace(
    _companion("wan-2_1-text2video-14b/lora", "Wan 2.1 14B LoRA", LARGE_COMPAT, 960), detect=_lora_of(_LARGE)
)
WAN_22_LORA = _companion("wan-2_2-ti2v-5b/lora", "Wan 2.2 Text/Image2Video 5B", MIDDLE_COMPAT, 960)
WAN_VAE = _companion("wan-2_1-text2video/vae", "Wan 2.1 VAE", VAE_COMPAT, 640)
