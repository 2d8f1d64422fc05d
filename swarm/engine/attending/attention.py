"""Which of torch's attention kernels run: tried once at the start, then fixed for the whole process.

torch itself picks the first usable of flash, memory-efficient, cuDNN and plain attention for each call. Naming one here
leaves it alone with the plain one, which everything else falls back to.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from swarm.engine.device import Device

_log = logging.getLogger(__name__)
AUTO, PLAIN = "auto", "math"
_KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    PLAIN: SDPBackend.MATH,
}
_SWITCHES: dict[str, Callable[[bool], None]] = {
    "flash": torch.backends.cuda.enable_flash_sdp,
    "efficient": torch.backends.cuda.enable_mem_efficient_sdp,
    "cudnn": torch.backends.cuda.enable_cudnn_sdp,
    PLAIN: torch.backends.cuda.enable_math_sdp,
}
CHOICES = (AUTO, *_KERNELS)


def usable(device: Device) -> tuple[str, ...]:
    """The kernels that answer on this device in its number format."""
    return tuple(name for name in _KERNELS if _answers(name, device))


def use(name: str, device: Device) -> tuple[str, ...]:
    """Have every attention from now on use kernel `name`, or torch's own choice for `auto`; returns what is usable.

    A kernel that does not run here is said so in the log, and torch chooses.
    """
    found = usable(device)
    if name != AUTO and name not in found:
        _log.warning("Attention kernel '%s' does not run on %s; torch chooses one of %s.", name, device.name, found)
        name = AUTO
    for each, switch in _SWITCHES.items():
        switch(name in (AUTO, each) or each == PLAIN)
    _log.info("Attention: %s of %s", "torch's choice" if name == AUTO else name, ", ".join(found))
    return found


def _answers(name: str, device: Device) -> bool:
    """Whether a kernel computes at all; torch says why not in warnings, and raises."""
    numbers = torch.zeros(1, 2, 64, 64, device=device.place, dtype=device.compute)
    with warnings.catch_warnings(), sdpa_kernel(_KERNELS[name]):
        warnings.simplefilter("ignore")
        try:
            scaled_dot_product_attention(numbers, numbers, numbers)
        except RuntimeError:
            return False
    return True
