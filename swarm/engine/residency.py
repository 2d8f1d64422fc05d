"""Where a model's weights are while they are not at work: on the device, or in main memory for as long as that is.

`full`: everything stays on the device. `balanced`: the denoiser stays, text encoders and VAE come and go; a model that
is twice as large as the device's memory in all its parts runs if its denoiser fits. `low`: the denoiser's blocks come
one after the other too (diffusers' group offload), so a few gigabytes are enough for anything, slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import Enum

import torch
from diffusers.hooks import apply_group_offloading

from swarm.engine.device import Device

_RESERVE = 2 * 1024**3
_RESERVED_SHARE = 0.15
"""Left free for activations: this much, and this share of the device's memory."""

HOME = torch.device("cpu")
"""Where weights rest."""


class Residency(Enum):
    """How much of a model stays on the device."""

    FULL = "full"
    BALANCED = "balanced"
    LOW = "low"


def choose(asked: str, device: Device, *, denoiser: int, rest: int) -> Residency:
    """`asked`: a value of Residency, or `auto`. `denoiser`, `rest`: bytes of the denoiser and of everything else.

    The processor keeps everything where it is unless it is asked otherwise: there is nowhere else.
    """
    if asked != "auto":
        return Residency(asked)
    if not device.is_cuda:
        return Residency.FULL
    room = device.memory - _RESERVE - int(device.memory * _RESERVED_SHARE)
    if denoiser + rest <= room:
        return Residency.FULL
    return Residency.BALANCED if denoiser <= room else Residency.LOW


def visiting(modules: tuple[torch.nn.Module, ...], device: Device) -> Callable[[], AbstractContextManager[None]]:
    """`with awake():` has the modules on the device, and at home afterwards."""

    @contextmanager
    def awake() -> Iterator[None]:
        for module in modules:
            module.to(device.place)
        try:
            yield
        finally:
            for module in modules:
                module.to(HOME)
            device.give_back()

    return awake


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
