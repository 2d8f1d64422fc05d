"""Models in main memory, ready to go back onto the device without a look at the disk."""

from __future__ import annotations

from swarm.engine.components import Components
from swarm.engine.device import Device
from swarm.engine.residency import HOME, Residency


def rest(components: Components) -> None:
    """Take a whole model home."""
    for module in components.modules:
        if components.residency is not Residency.LOW or module is not components.denoiser:
            module.to(HOME)


def wake(components: Components, device: Device) -> None:
    """Bring back what belongs on the device of a model that was at home."""
    if components.residency is Residency.FULL:
        for module in components.modules:
            module.to(device.place)
    elif components.residency is Residency.BALANCED:
        components.denoiser.to(device.place)
