"""Kandinsky 5: one picture model and two video models, told apart by their width."""

from __future__ import annotations

from swarm.architectures.architecture import CompatClass
from swarm.architectures.families.listed import listed
from swarm.architectures.rules import Rule, with_denoiser, with_size

IMAGE_COMPAT = CompatClass(
    id="kandinsky5-imglite", short_code="Kan5IL", loras_target_text_enc=False, vae_family="flux1"
)


def _video_compat(id: str, code: str) -> CompatClass:
    return CompatClass(id=id, short_code=code, loras_target_text_enc=False, is_text2video=True, is_image2video=True)


VIDEO_LITE_COMPAT = _video_compat("kandinsky5-vidlite", "Kan5VL")
VIDEO_PRO_COMPAT = _video_compat("kandinsky5-vidpro", "Kan5VP")

_TEXT = "text_embeddings.in_layer.weight"


def _wide(width: int) -> Rule:
    tensors = with_denoiser(
        "pooled_text_embeddings.in_layer.weight", "text_transformer_blocks.0.feed_forward.in_layer.weight"
    )
    return tensors & with_size(width, 0, _TEXT, "diffusion_model." + _TEXT, "model.diffusion_model." + _TEXT)


KANDINSKY_IMAGE_LITE = listed("kandinsky5-image-lite", "Kandinsky5 Image Lite", IMAGE_COMPAT, 1024, detect=_wide(2560))
KANDINSKY_IMAGE_LITE_LORA = listed("kandinsky5-image-lite/lora", "Kandinsky5 Image Lite LoRA", IMAGE_COMPAT, 1024)
KANDINSKY_VIDEO_LITE = listed(
    "kandinsky5-video-lite", "Kandinsky5 Video Lite", VIDEO_LITE_COMPAT, 640, detect=_wide(1792)
)
KANDINSKY_VIDEO_LITE_LORA = listed("kandinsky5-video-lite/lora", "Kandinsky5 Video Lite LoRA", VIDEO_LITE_COMPAT, 640)
KANDINSKY_VIDEO_PRO = listed("kandinsky5-video-pro", "Kandinsky5 Video Pro", VIDEO_PRO_COMPAT, 640, detect=_wide(4096))
KANDINSKY_VIDEO_PRO_LORA = listed("kandinsky5-video-pro/lora", "Kandinsky5 Video Pro LoRA", VIDEO_PRO_COMPAT, 640)
