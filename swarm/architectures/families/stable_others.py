"""Stability's and its neighbours' further models: Stable Video, Stable Cascade, Segmind, Alt-Diffusion, ControlNets."""

from __future__ import annotations

from swarm.architectures.architecture import CompatClass
from swarm.architectures.families.listed import listed
from swarm.architectures.families.stable_diffusion_v3 import LARGE_COMPAT, MEDIUM_35_COMPAT, MEDIUM_COMPAT
from swarm.architectures.rules import with_keys

VIDEO_COMPAT = CompatClass(id="stable-video-diffusion-img2vid-v1", short_code="SVD", is_image2video=True)
CASCADE_COMPAT = CompatClass(id="stable-cascade-v1", short_code="Casc")
SEGMIND_COMPAT = CompatClass(id="segmind-stable-diffusion-1b", short_code="SSD1B", vae_family="sdxl")
ALT_COMPAT = CompatClass(id="alt_diffusion_v1", short_code="AltD")

_D = "model.diffusion_model."
_CASCADE_B = with_keys("clf.1.weight", "clip_mapper.weight") | with_keys(_D + "clf.1.weight", _D + "clip_mapper.weight")
_CASCADE_C = with_keys("clf.1.weight", "clip_txt_mapper.weight") | with_keys(
    _D + "clf.1.weight", _D + "clip_txt_mapper.weight"
)
_TRANSFORMER_CONTROLNET = with_keys("controlnet_blocks.0.bias", "transformer_blocks.0.ff.net.0.proj.bias")
_FLUX_CONTROLNET = with_keys("transformer_blocks.0.attn.norm_added_k.weight")
_LARGE_CONTROLNET = with_keys("controlnet_blocks.0.bias", "transformer_blocks.0.adaLN_modulation.1.bias")

STABLE_VIDEO_09 = listed(
    "stable-video-diffusion-img2vid-v0_9",
    "Stable Video Diffusion Img2Vid 0.9",
    VIDEO_COMPAT,
    1024,
    576,
    detect=with_keys(_D + "input_blocks.1.0.time_stack.emb_layers.1.bias"),
)
STABLE_VIDEO_1 = listed(
    "stable-video-diffusion-img2vid-v1",
    "Stable Video Diffusion Img2Vid v1",
    VIDEO_COMPAT,
    1024,
    576,
    pipeline="StableVideoDiffusionPipeline",
)
STABLE_CASCADE_A = listed(
    "stable-cascade-v1-stage-a/vae",
    "Stable Cascade v1 (Stage A)",
    CASCADE_COMPAT,
    1024,
    detect=with_keys("vquantizer.codebook.weight") & ~_CASCADE_B & ~_CASCADE_C,
)
STABLE_CASCADE_B = listed(
    "stable-cascade-v1-stage-b", "Stable Cascade v1 (Stage B)", CASCADE_COMPAT, 1024, detect=_CASCADE_B
)
STABLE_CASCADE_C = listed(
    "stable-cascade-v1-stage-c", "Stable Cascade v1 (Stage C)", CASCADE_COMPAT, 1024, detect=_CASCADE_C
)
STABLE_CASCADE_C_CONTROLNET = listed(
    "stable-cascade-v1-stage-c/controlnet", "Stable Cascade v1 (Stage C ControlNet)", CASCADE_COMPAT, 1024
)
SD3_CONTROLNET = listed(
    "stable-diffusion-v3-medium/controlnet",
    "Stable Diffusion 3 Medium ControlNet",
    MEDIUM_COMPAT,
    1024,
    detect=_TRANSFORMER_CONTROLNET & ~_FLUX_CONTROLNET & ~_LARGE_CONTROLNET,
)
SD35_LARGE_CONTROLNET = listed(
    "stable-diffusion-v3.5-large/controlnet",
    "Stable Diffusion 3.5 Large ControlNet",
    LARGE_COMPAT,
    1024,
    detect=_LARGE_CONTROLNET & ~_FLUX_CONTROLNET,
)
SD35_MEDIUM_CONTROLNET = listed(
    "stable-diffusion-v3.5-medium/controlnet", "Stable Diffusion 3.5 Medium ControlNet", MEDIUM_35_COMPAT, 1024
)
SEGMIND_1B = listed("segmind-stable-diffusion-1b", "Segmind Stable Diffusion 1B (SSD-1B)", SEGMIND_COMPAT, 1024)
ALT_DIFFUSION = listed(
    "alt_diffusion_v1_512_placeholder",
    "Alt-Diffusion",
    ALT_COMPAT,
    512,
    detect=with_keys("cond_stage_model.roberta.embeddings.word_embeddings.weight"),
)
