"""Other spellings of class ids that files carry, lower-cased, and the class they mean (swarm-models-backends 2.6)."""

from __future__ import annotations

_HUNYUAN_15 = [f"hunyuanvideo1.5_{size}_{task}" for size in ("480p", "720p") for task in ("t2v", "i2v")]

REMAPS: dict[str, str] = {
    "flux-1-dev": "Flux.1-dev",
    "flux-1-dev/lora": "Flux.1-dev/lora",
    "flux-dev/lora": "Flux.1-dev/lora",
    "flux-1-schnell/lora": "Flux.1-dev/lora",
    "flux.1-schnell/lora": "Flux.1-dev/lora",
    "flux.1-depth-dev-lora": "Flux.1-dev/lora-depth",
    "flux.1-canny-dev-lora": "Flux.1-dev/lora-canny",
    "flux.1-depth-dev": "Flux.1-dev/depth",
    "flux.1-canny-dev": "Flux.1-dev/canny",
    "flux.1-fill-dev": "Flux.1-dev/inpaint",
    "flux-1-schnell": "Flux.1-schnell",
    "flux-1-schnell/controlnet": "Flux.1-dev/controlnet",
    "flux.1-schnell/controlnet": "Flux.1-dev/controlnet",
    "flux.1-ae": "flux.1/vae",
    "stable-cascade-v1-stage-a": "stable-cascade-v1-stage-a/vae",
    "stable-diffusion-3-3-5-large": "stable-diffusion-v3.5-large",
    "stable-diffusion-v3.5-large-turbo": "stable-diffusion-v3.5-large",
    "stable-diffusion-3-3-5-large/lora": "stable-diffusion-v3.5-large/lora",
    "stable-diffusion-3-3-5-medium": "stable-diffusion-v3.5-medium",
    "stable-diffusion-3-3-5-medium/lora": "stable-diffusion-v3.5-medium/lora",
    "anima-preview": "anima",
    "anima-preview/lora": "anima/lora",
    "anima-preview/control-net-lllite": "anima/controlnet",
    **{name + ending: "hunyuan-video-1_5" for name in _HUNYUAN_15 for ending in ("", "_distilled")},
    "hunyuanvideo1.5_1080p_sr_distilled": "hunyuan-video-1_5-sr",
    "hunyuanvideo1.5_720p_sr_distilled": "hunyuan-video-1_5-sr",
    "hidream_o1_image": "hidream-o1",
    "networks.lora_minimax_h3": "minimax-h3/lora",
}
