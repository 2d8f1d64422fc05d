"""Whether a picture of a size can be made at all. On the CPU nobody else says no: the system would end the engine."""

from __future__ import annotations

from swarm.base.errors import Refused
from swarm.engine.components import Components
from swarm.engine.device import Device

_DENOISER_MAPS = 20
"""What one row holds at its peak, in feature maps of the first level's width (measured on UNets of SD's shape)."""
_DECODER_MAPS = 10
_PICTURE_BYTES = 48
"""Per pixel of a finished picture: three channels, a few copies, mostly as floats."""
_LARGEST_ON_CPU = 64
"""Times the model's own number of pixels: attention grows with the square, so more would block the device for hours."""
_GIGABYTE = 1024**3


def refuse_too_large(components: Components, device: Device, width: int, height: int) -> None:
    """Raises Refused with a sentence when the CPU cannot make this; a GPU reports lack of memory without harm."""
    if device.is_cuda:
        return
    family = components.architecture
    most = _LARGEST_ON_CPU * family.standard_width * family.standard_height
    if width * height > most:
        raise Refused(
            f"{width}x{height} is too large for this model on the processor, which would work on it for hours. "
            f"Choose a size of up to {most // 1_000_000} megapixels."
        )
    need, free = _needed_bytes(components, width, height), device.free_memory()
    if need > free:
        raise Refused(
            f"A picture of {width}x{height} needs about {need / _GIGABYTE:.1f} GB of memory with this model, and "
            f"{free / _GIGABYTE:.1f} GB are free. Choose a smaller size."
        )


def decode_bytes(components: Components, device: Device, width: int, height: int) -> int:
    """What decoding one picture in one piece takes."""
    size = device.decode.itemsize
    return width * height * components.vae.width * size * _DECODER_MAPS


def _needed_bytes(components: Components, width: int, height: int) -> int:
    """The least it takes: one row of the denoiser; decoding can go in tiles, but the picture must be somewhere."""
    cells = (width // components.vae_factor) * (height // components.vae_factor)
    width = components.adapter.row_width(components.denoiser)
    row = cells * width * next(components.denoiser.parameters()).dtype.itemsize * _DENOISER_MAPS
    return max(row, width * height * _PICTURE_BYTES)
