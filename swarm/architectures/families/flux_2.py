"""Flux.2: one shared modulation for all blocks; dev and the two Klein sizes."""

from __future__ import annotations

from dataclasses import replace
from math import exp

from swarm.architectures.architecture import Architecture, CompatClass, Detector
from swarm.architectures.families.latents import FLUX_2_LATENT
from swarm.architectures.header import Header
from swarm.architectures.rules import denoiser_shape, lora_for

_KLEIN_MODULES = (
    "double_blocks.4.img_attn.proj",
    "double_blocks.4.txt_mlp.2",
    "single_blocks.18.linear1",
    "single_blocks.19.linear2",
)


def _compat(id: str, code: str) -> CompatClass:
    return CompatClass(id=id, short_code=code, loras_target_text_enc=False, vae_family="flux2")


DEV_COMPAT = _compat("flux-2", "Flux2")
KLEIN_4B_COMPAT = _compat("flux-2-klein-4b", "Fl2K4")
KLEIN_9B_COMPAT = _compat("flux-2-klein-9b", "Fl2K9")


def _modulation(size: int) -> Detector:
    """A rule for the width of the shared modulation; GGUF turns the two dimensions around."""
    return lambda header: size in (denoiser_shape(header, "double_stream_modulation_img.lin.weight") or ())[:2]


def is_klein_lora(header: Header) -> bool:
    return lora_for(header, *_KLEIN_MODULES)


def _is_dev_lora(header: Header) -> bool:
    return lora_for(header, "single_blocks.47.linear2")


def _is_9b_lora(header: Header) -> bool:
    return is_klein_lora(header) and lora_for(header, "single_blocks.23.linear1") and not _is_dev_lora(header)


def _is_4b_lora(header: Header) -> bool:
    return is_klein_lora(header) and not lora_for(header, "single_blocks.23.linear1")


FLUX_2_DEV = Architecture(
    id="flux.2-dev",
    name="Flux.2 Dev",
    compat=DEV_COMPAT,
    standard_width=1024,
    standard_height=1024,
    detect=_modulation(36864),
    latent=FLUX_2_LATENT,
    prediction="flow",
    pipeline="Flux2Pipeline",
    adapter="flux-2",
    flow_shift=exp(2.02),
    shift_grows=True,
    train_steps=10_000,
    default_schedule="flux2",
    takes_references=True,
    text_encoders=("mistral",),
)
FLUX_2_KLEIN_4B = replace(
    FLUX_2_DEV,
    id="flux.2-klein-4b",
    name="Flux.2 Klein 4B",
    compat=KLEIN_4B_COMPAT,
    detect=_modulation(18432),
    pipeline="Flux2KleinPipeline",
    text_encoders=("qwen3",),
)
FLUX_2_KLEIN_9B = replace(
    FLUX_2_KLEIN_4B,
    id="flux.2-klein-9b",
    name="Flux.2 Klein 9B",
    compat=KLEIN_9B_COMPAT,
    detect=_modulation(24576),
    text_encoders=("qwen3_8b",),
)


def _lora(id: str, name: str, compat: CompatClass, detect: Detector) -> Architecture:
    return Architecture(id=id, name=name, compat=compat, standard_width=1024, standard_height=1024, detect=detect)


FLUX_2_DEV_LORA = _lora("flux.2-dev/lora", "Flux.2 Dev LoRA", DEV_COMPAT, _is_dev_lora)
FLUX_2_KLEIN_4B_LORA = _lora("flux.2-klein-4b/lora", "Flux.2 Klein 4B LoRA", KLEIN_4B_COMPAT, _is_4b_lora)
FLUX_2_KLEIN_9B_LORA = _lora("flux.2-klein-9b/lora", "Flux.2 Klein 9B LoRA", KLEIN_9B_COMPAT, _is_9b_lora)
