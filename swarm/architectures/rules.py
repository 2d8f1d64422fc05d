"""The vocabulary detection rules are written in (swarm-models-backends 2.2)."""

from __future__ import annotations

from swarm.architectures.header import Header

_PREFIXES = ("", "diffusion_model.", "model.diffusion_model.", "net.", "transformer.")
_LORA_WEIGHTS = (".lora_A.weight", ".lora_A.default.weight", ".lora_up.weight", ".lora.up.weight", ".lokr_w1")
_LORA_SUFFIXES = (*_LORA_WEIGHTS, ".lora_A")
_LORA_ENDINGS = (*_LORA_WEIGHTS, ".diff")


def prefixed(header: Header, *names: str) -> bool:
    """Whether each of `names` exists, bare or below one of the places denoisers are stored under."""
    return all(any(prefix + name in header.tensors for prefix in _PREFIXES) for name in names)


def denoiser_shape(header: Header, name: str) -> tuple[int, ...] | None:
    """The shape of `name`, bare or in a checkpoint's denoiser."""
    return header.shape(name, "diffusion_model." + name, "model.diffusion_model." + name)


def lora_for(header: Header, *modules: str) -> bool:
    """Whether the file changes each of `modules` (dotted names inside the denoiser), in any LoRA spelling."""
    return all(_changes(header, module) for module in modules)


def is_lora(header: Header) -> bool:
    """Whether this file holds changes to weights rather than weights."""
    return any(name.startswith("lora_") or name.endswith(_LORA_ENDINGS) for name in header.tensors)


def _changes(header: Header, module: str) -> bool:
    flat = "lora_unet_" + module.replace(".", "_") + ".lora_up.weight"
    return prefixed(header, flat) or any(prefixed(header, module + suffix) for suffix in _LORA_SUFFIXES)
