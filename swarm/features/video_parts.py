"""The files that video models of one file need beside it: text encoder, VAE, and for some the eyes of CLIP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from swarm.features.image_to_video import PARTS, VIDEO_MODEL, VIDEO_SWAP_MODEL
from swarm.features.video_extend import EXTEND_PARTS, VIDEO_EXTEND_MODEL, VIDEO_EXTEND_SWAP_MODEL
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.params.input import GenerationInput
from swarm.params.kinds import Model

_Beside: TypeAlias = "Mapping[str, tuple[str, tuple[str, ...], str]]"
_WAN: _Beside = {
    "umt5xxl": ("Clip", ("umt5_xxl_fp8_e4m3fn_scaled", "umt5_xxl_fp16", "umt5_xxl"), "umt5"),
    "vae": ("VAE", ("wan_2.1_vae", "wan2.1_vae", "wan_vae"), "wan"),
    "clip_vision": ("ClipVision", ("clip_vision_h", "CLIP-ViT-H-14-laion2B-s32B-b79K"), "clip_vision_h"),
}
"""By slot: the set it is in, its usual names, and what a name that tells it contains."""
_WAN_SECOND: _Beside = {"umt5xxl": _WAN["umt5xxl"], "vae": ("VAE", ("wan2.2_vae", "wan_2.2_vae"), "wan2.2")}
_LTX: _Beside = {
    "t5xxl": ("Clip", ("t5xxl_enconly", "t5xxl_fp16", "t5xxl_fp8_e4m3fn_scaled", "t5xxl_fp8_e4m3fn"), "t5xxl"),
    "vae": ("VAE", ("ltx_video_vae", "ltxv_vae"), "ltx"),
}
_HUNYUAN: _Beside = {
    "llama": ("Clip", ("llava_llama3_fp8_scaled", "llava_llama3_fp16"), "llava_llama3"),
    "clip_l": ("Clip", ("clip_l", "clip_l_fp16"), "clip_l"),
    "vae": ("VAE", ("hunyuan_video_vae_bf16", "hunyuan_video_vae_fp32"), "hunyuan_video_vae"),
    "clip_vision": ("ClipVision", ("llava_llama3_vision",), "llava_llama3_vision"),
}
_HUNYUAN_15: _Beside = {
    "qwen2.5vl": ("Clip", ("qwen_2.5_vl_7b_fp8_scaled", "qwen_2.5_vl_7b"), "qwen_2.5_vl"),
    "byt5": ("Clip", ("byt5_small_glyphxl_fp16",), "byt5"),
    "vae": ("VAE", ("hunyuanvideo15_vae_fp16", "hunyuanvideo15_vae_bf16"), "hunyuanvideo15_vae"),
    "clip_vision": ("ClipVision", ("sigclip_vision_patch14_384", "siglip_vision_patch14_384"), "sigclip"),
}
_COGVIDEOX: _Beside = {
    "t5xxl": _LTX["t5xxl"],
    "vae": ("VAE", ("cogvideox_vae_bf16", "cogvideox_vae"), "cogvideox"),
}
_BESIDE: Mapping[str, _Beside] = {
    "wan-2_2-ti2v": _WAN_SECOND,
    "wan-2_": _WAN,
    "lightricks-ltx-video": _LTX,
    "cogvideox": _COGVIDEOX,
    "hunyuan-video-1_5": _HUNYUAN_15,
    "hunyuan-video": _HUNYUAN,
}
"""By how the family's id begins; the first that fits."""


@need()
def video_companions(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """What the models of a request want and is there. Whoever runs them says what is missing."""
    second = _checkpoint(input, VIDEO_MODEL, files)
    swap = _checkpoint(input, VIDEO_SWAP_MODEL, files)
    parts = {} if model is None else _found(model, files)
    others = {} if second is None else _found(second, files)
    if swap is not None:
        (parts if second is None else others)["swap"] = swap
    beside = {PARTS + slot: part for slot, part in others.items()}
    extending = _checkpoint(input, VIDEO_EXTEND_MODEL, files)
    if extending is not None:
        found = _found(extending, files)
        if (second_half := _checkpoint(input, VIDEO_EXTEND_SWAP_MODEL, files)) is not None:
            found["swap"] = second_half
        beside |= {EXTEND_PARTS + slot: part for slot, part in found.items()}
    return Found(parts=parts, files=beside)


def _checkpoint(input: GenerationInput, param: Model, files: Files) -> ModelFile | None:
    return files.find("Stable-Diffusion", input.get(param)) if input.has(param) else None


def _found(model: ModelFile, files: Files) -> dict[str, ModelFile]:
    family = "" if model.path.is_dir() else model.family or ""
    wanted: _Beside = next((beside for start, beside in _BESIDE.items() if family.startswith(start)), {})
    named = ((slot, _named(files, *where)) for slot, where in wanted.items() if _wants(family, slot))
    return {slot: file for slot, file in named if file is not None}


def _wants(family: str, slot: str) -> bool:
    """Some of Wan 2.1 and HunyuanVideo see their first frame through CLIP, HunyuanVideo 1.5 through SigLIP."""
    sees = family.startswith(("wan-2_1-image2video", "wan-2_1-flf2v", "hunyuan-video-i2v", "hunyuan-video-1_5"))
    return sees if slot == "clip_vision" else True


def _named(files: Files, subtype: str, names: tuple[str, ...], hint: str) -> ModelFile | None:
    """The file of a usual name, else the first whose name contains the hint."""
    known = sorted(files.names(subtype))
    stems = {name.rpartition("/")[2].rpartition(".")[0].lower(): name for name in known}
    for name in names:
        if name.lower() in stems:
            return files.find(subtype, stems[name.lower()])
    return next((files.find(subtype, name) for name in known if hint in name.lower()), None)
