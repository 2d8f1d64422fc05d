"""The vocabulary detection rules are written in (swarm-models-backends 2.2)."""

from __future__ import annotations

from collections.abc import Callable

from swarm.architectures.header import Header

_PREFIXES = ("", "diffusion_model.", "model.diffusion_model.", "net.", "transformer.")
_LORA_WEIGHTS = (".lora_A.weight", ".lora_A.default.weight", ".lora_up.weight", ".lora.up.weight", ".lokr_w1")
_LORA_SUFFIXES = (*_LORA_WEIGHTS, ".lora_A")
_LORA_ENDINGS = (*_LORA_WEIGHTS, ".diff")


class Rule:
    """A question about a header that can be joined with others: `with_keys("a") & ~below_denoiser("b")`."""

    def __init__(self, holds: Callable[[Header], bool]) -> None:
        self._holds = holds

    def __call__(self, header: Header) -> bool:
        return self._holds(header)

    def __and__(self, other: Callable[[Header], bool]) -> Rule:
        return Rule(lambda header: self(header) and other(header))

    def __or__(self, other: Callable[[Header], bool]) -> Rule:
        return Rule(lambda header: self(header) or other(header))

    def __invert__(self) -> Rule:
        return Rule(lambda header: not self(header))


def with_keys(*names: str) -> Rule:
    """All these tensors exist, spelled exactly so."""
    return Rule(lambda header: header.has(*names))


def with_any(*names: str) -> Rule:
    return Rule(lambda header: header.has_any(*names))


def with_denoiser(*names: str) -> Rule:
    """All these tensors exist, bare or where denoisers are stored."""
    return Rule(lambda header: prefixed(header, *names))


def with_lora_for(*modules: str) -> Rule:
    """The file changes each of these modules."""
    return Rule(lambda header: lora_for(header, *modules))


def with_size(size: int, axis: int, *names: str) -> Rule:
    """The first of these tensors that exists has this size along `axis`."""

    def holds(header: Header) -> bool:
        shape = header.shape(*names)
        return shape is not None and -len(shape) <= axis < len(shape) and shape[axis] == size

    return Rule(holds)


def prefixed(header: Header, *names: str) -> bool:
    """Whether each of `names` exists, bare or below one of the places denoisers are stored under."""
    tensors = header.tensors
    for name in names:
        for prefix in _PREFIXES:
            if prefix + name in tensors:
                break
        else:
            return False
    return True


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
