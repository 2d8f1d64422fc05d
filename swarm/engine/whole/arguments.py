"""A wish in the words of a pipeline's call: each is told what its call knows, under the name it knows it by."""

from __future__ import annotations

from inspect import signature
from typing import Any

import torch

from swarm.base.errors import BadInput
from swarm.engine.whole.wish import Wish
from swarm.features.flux_guidance import FLUX_GUIDANCE_SCALE
from swarm.features.image_to_video import VIDEO_AUGMENTATION_LEVEL, VIDEO_MIN_CFG, VIDEO_MOTION_BUCKET

_USUAL_FRAMES = {"Wan": 81, "LTX": 97, "HunyuanVideo": 73, "Cosmos": 121}
"""By how the pipeline's name begins: clips as long as people usually make them with it."""

_FRAME_STEPS = ("vae_scale_factor_temporal", "vae_temporal_compression_ratio")
_PIXEL_STEPS = ("vae_scale_factor_spatial", "vae_spatial_compression_ratio", "vae_scale_factor")


def arguments_for(pipe: Any, wish: Wish) -> dict[str, Any]:
    """What the pipeline is called with."""
    known = signature(pipe.__call__).parameters
    step = pixel_step(pipe)
    width, height = (max(step, side // step * step) for side in (wish.width, wish.height))
    given: dict[str, Any] = {
        "prompt": wish.prompt,
        "num_inference_steps": wish.steps,
        "width": width,
        "height": height,
        "output_type": "np" if makes_clips(pipe) else "pil",
        "generator": torch.Generator("cpu").manual_seed(wish.seed % 2**63),
        **_guidance(known, wish),
    }
    if wish.negative:
        given["negative_prompt"] = wish.negative
    given |= _motion(pipe, known, wish) | _pictures(pipe, known, wish, width, height)
    return {name: value for name, value in given.items() if name in known}


def _guidance(known: Any, wish: Wish) -> dict[str, Any]:
    """CFG under its name; where the model has guidance of its own besides, that is the Flux guidance scale."""
    if "max_guidance_scale" in known:
        return {"max_guidance_scale": wish.cfg, "min_guidance_scale": _at_most(wish.input.get(VIDEO_MIN_CFG), wish.cfg)}
    if "true_cfg_scale" not in known:
        return {"guidance_scale": wish.cfg}
    own = wish.input.given(FLUX_GUIDANCE_SCALE)
    return {"true_cfg_scale": wish.cfg} | ({} if own is None else {"guidance_scale": own})


def _at_most(low: float, high: float) -> float:
    """Below zero there is no ramp: every frame is guided alike."""
    return high if low < 0 else min(low, high)


def _motion(pipe: Any, known: Any, wish: Wish) -> dict[str, Any]:
    if not makes_clips(pipe):
        return {}
    told: dict[str, Any] = {"frame_rate": wish.fps, "fps": wish.fps}
    told["motion_bucket_id"] = wish.input.get(VIDEO_MOTION_BUCKET)
    if wish.input.has(VIDEO_AUGMENTATION_LEVEL):
        told["noise_aug_strength"] = wish.input.get(VIDEO_AUGMENTATION_LEVEL)
    vae = getattr(pipe, "vae", None)
    if vae is not None and vae.config.get("timestep_conditioning"):
        told |= {"decode_timestep": 0.05, "decode_noise_scale": 0.025}  # as LTX' makers decode
    frames = wish.frames
    if frames is None:
        frames = next((count for start, count in _USUAL_FRAMES.items() if type(pipe).__name__.startswith(start)), None)
    return told if frames is None else told | {"num_frames": whole_frames(pipe, frames)}


def _pictures(pipe: Any, known: Any, wish: Wish, width: int, height: int) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if len(wish.before) > 1 and "video" in known:
        given["video"] = [frame.resize((width, height)) for frame in wish.before]
    elif wish.film:
        given["video"] = [frame.resize((width, height)) for frame in wish.film[: whole_frames(pipe, len(wish.film))]]
        given["strength"] = 1.0 if wish.creativity is None else wish.creativity
    elif wish.image is not None:
        given["image"] = wish.image.resize((width, height))
        given["strength"] = 1.0 if wish.creativity is None else wish.creativity
    if wish.mask is not None:
        given["mask_image"] = wish.mask.resize((width, height))
    if wish.last is not None:
        if "last_image" not in known or not _knows_the_end(pipe):
            raise BadInput("This model does not know how to end with a given picture. Remove the Video End Image.")
        given["last_image"] = wish.last.resize((width, height))
    return given


def _knows_the_end(pipe: Any) -> bool:
    """Wan models that see pictures through CLIP see a second one only if they were made for two."""
    config = pipe.transformer.config
    return config.get("image_dim") is None or config.get("pos_embed_seq_len") is not None


def makes_clips(pipe: Any) -> bool:
    """Whether it makes moving pictures."""
    return "num_frames" in signature(pipe.__call__).parameters


def whole_frames(pipe: Any, frames: int) -> int:
    """The largest number of frames, up to the wish, that the VAE can pack: one, and then whole groups."""
    group = next((int(found) for name in _FRAME_STEPS if (found := getattr(pipe, name, None))), 1)
    return (max(1, frames) - 1) // group * group + 1


def pixel_step(pipe: Any) -> int:
    """What both sides must be multiples of: latent cells, in patches."""
    cell = next((int(found) for name in _PIXEL_STEPS if (found := getattr(pipe, name, None))), 8)
    patch = getattr(getattr(pipe, "transformer", None), "config", {}).get("patch_size") or 1
    patch = patch[-1] if isinstance(patch, list | tuple) else patch
    packs = hasattr(pipe, "_pack_latents") and patch == 1 and not makes_clips(pipe)
    return cell * (2 if packs else int(patch))
