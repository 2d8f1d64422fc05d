"""CogVideoX: video transformers of 2 and 5 billion weights, from text and from a picture."""

from __future__ import annotations

from swarm.architectures.architecture import CompatClass
from swarm.architectures.families.listed import listed
from swarm.architectures.rules import with_denoiser, with_size

COGVIDEOX_COMPAT = CompatClass(
    id="cogvideox", short_code="CogVX", loras_target_text_enc=False, is_text2video=True, is_image2video=True
)
_MARKER = "patch_embed.proj.weight"
_COGVIDEOX = with_denoiser("patch_embed.text_proj.weight", "norm_final.weight") & (
    with_denoiser("transformer_blocks.0.attn1.norm_q.weight") | with_denoiser("blocks.0.ff_proj.weight")
)
_PLACES = (_MARKER, "diffusion_model." + _MARKER, "model.diffusion_model." + _MARKER, "transformer." + _MARKER)
_SEES = with_size(32, 1, *_PLACES) | with_size(256, 1, *_PLACES)
"""A picture beside 16 channels of noise; where frames are patched too, all numbers of a patch."""

COGVIDEOX = listed(
    "cogvideox", "CogVideoX", COGVIDEOX_COMPAT, 720, 480, detect=_COGVIDEOX & ~_SEES, pipeline="CogVideoXPipeline"
)
COGVIDEOX_PICTURE = listed(
    "cogvideox-i2v",
    "CogVideoX Image2Video",
    COGVIDEOX_COMPAT,
    720,
    480,
    detect=_COGVIDEOX & _SEES,
    pipeline="CogVideoXImageToVideoPipeline",
)
