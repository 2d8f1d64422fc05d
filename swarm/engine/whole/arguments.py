"""A wish in the words of a pipeline's call: each is told what its call knows, under the name it knows it by."""

from __future__ import annotations

from inspect import signature
from typing import Any

import torch

from swarm.base.errors import BadInput
from swarm.engine.whole.wish import Wish
from swarm.features.core import CFG_SCALE
from swarm.features.flux_guidance import FLUX_GUIDANCE_SCALE
from swarm.features.image_to_video import VIDEO_AUGMENTATION_LEVEL, VIDEO_MIN_CFG, VIDEO_MOTION_BUCKET
from swarm.prompt.sections import Section

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
        second = None if wish.swap_share is None else wish.input.given_within(CFG_SCALE, Section.VIDEO_SWAP)
        return {"guidance_scale": wish.cfg} | ({} if second is None else {"guidance_scale_2": second})
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
    frames = _frames(pipe, wish)
    return told if frames is None else told | {"num_frames": frames}


def _frames(pipe: Any, wish: Wish) -> int | None:
    """As many as it is called for; None for as many as the pipeline itself would make."""
    name, frames = type(pipe).__name__, wish.frames
    if frames is None:
        frames = next((count for start, count in _USUAL_FRAMES.items() if name.startswith(start)), None)
    return None if frames is None else whole_frames(pipe, frames)


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
    group = _frame_group(pipe)
    return (max(1, frames) - 1) // group * group + 1


def _frame_group(pipe: Any) -> int:
    return next((int(found) for name in _FRAME_STEPS if (found := getattr(pipe, name, None))), 1)


def pixel_step(pipe: Any) -> int:
    """What both sides must be multiples of: latent cells, in patches."""
    cell = _cell(pipe)
    patch = getattr(getattr(pipe, "transformer", None), "config", {}).get("patch_size") or 1
    patch = patch[-1] if isinstance(patch, list | tuple) else patch
    packs = hasattr(pipe, "_pack_latents") and patch == 1 and not makes_clips(pipe)
    return cell * (2 if packs else int(patch))


def _cell(pipe: Any) -> int:
    return next((int(found) for name in _PIXEL_STEPS if (found := getattr(pipe, name, None))), 8)


def latent_cells(pipe: Any, wish: Wish, *, all_frames: bool) -> int:
    """Places of the latent of a picture, or of one frame of a clip, or of all of them."""
    places = (wish.width // _cell(pipe)) * (wish.height // _cell(pipe))
    frames = _frames(pipe, wish) if all_frames and makes_clips(pipe) else None
    return places if frames is None else places * ((frames - 1) // _frame_group(pipe) + 1)
