"""Where a model's weights are while they are not at work: on the device, or in main memory for as long as that is.

`full`: everything stays on the device. `balanced`: the denoiser stays, text encoders and VAE come and go; a model that
is twice as large as the device's memory in all its parts runs if its denoiser fits. `low`: the denoiser's blocks come
one after the other too (diffusers' group offload), so a few gigabytes are enough for anything, slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from typing import Any

import torch
from diffusers.hooks import apply_group_offloading
from diffusers.hooks.group_offloading import _GROUP_OFFLOADING

from swarm.engine.device import Device

_RESERVE = 2 * 1024**3
_RESERVED_SHARE = 0.15
"""Left free for activations: this much, and, where all stays, this share of the device's memory for larger calls."""

HOME = torch.device("cpu")
"""Where weights rest."""


class Residency(Enum):
    """How much of a model stays on the device."""

    FULL = "full"
    BALANCED = "balanced"
    LOW = "low"


def choose(asked: str, device: Device, *, denoiser: int, rest: int, visitor: int = 0) -> Residency:
    """`asked`: a value of Residency, or `auto`. `denoiser`, `rest`: bytes of the denoiser and of everything else;
    `visitor`: of the largest part of the rest that is on the device at one time, beside the denoiser.

    The processor keeps everything where it is unless it is asked otherwise: there is nowhere else.
    """
    if asked != "auto":
        return Residency(asked)
    if not device.is_cuda:
        return Residency.FULL
    room = device.memory - _RESERVE
    if denoiser + rest <= room - int(device.memory * _RESERVED_SHARE):
        return Residency.FULL
    # Visitors come before or after the steps, when there are next to no activations.
    return Residency.BALANCED if max(denoiser, denoiser + visitor - _RESERVE // 2) <= room else Residency.LOW


def visiting(modules: tuple[torch.nn.Module, ...], device: Device) -> Callable[[], AbstractContextManager[None]]:
    """`with awake():` has the modules on the device, and at home afterwards.

    Weights do not change while they are away, so nothing is copied back: what rests at home is taken up again.
    """

    @contextmanager
    def awake() -> Iterator[None]:
        homes = list(_homes(modules))
        for module in modules:
            module.to(device.place)
        try:
            yield
        finally:
            for holder, name, tensor, resting in homes:
                tensor.data = resting
                holder[name] = tensor
            device.give_back()

    return awake


def _homes(modules: tuple[torch.nn.Module, ...]) -> Iterator[tuple[Any, str, torch.Tensor, torch.Tensor]]:
    """Where each tensor of modules is held, by which name, the tensor, and what is in it now."""
    for module in modules:
        for part in module.modules():
            for holder in (part._parameters, part._buffers):
                for name, tensor in holder.items():
                    if tensor is not None:
                        yield holder, name, tensor, tensor.data


def offload_blocks(module: torch.nn.Module, device: Device) -> None:
    """From now on the module's blocks are on the device only while they compute."""
    apply_group_offloading(
        module,
        onload_device=device.place,
        offload_device=HOME,
        offload_type="block_level",
        num_blocks_per_group=1,
        use_stream=device.is_cuda,
    )


def take_blocks_home(module: torch.nn.Module) -> None:
    """Have every block of a module rest at home, before its weights are changed in place.

    A call that was broken off or left blocks out may leave some on the device, whose weights are forgotten when they
    leave it: what rests at home is taken up again.
    """
    for part in module.modules():
        hooks = getattr(part, "_diffusers_hook", None)
        hook = None if hooks is None else hooks.get_hook(_GROUP_OFFLOADING)
        if hook is not None:
            hook.group.offload_()
