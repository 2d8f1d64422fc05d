"""Between pixels and latents: the VAE in both directions, in batches that fit, in tiles where one picture does not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from swarm.engine.components import Components
from swarm.engine.device import Device, is_out_of_memory
from swarm.engine.room import decode_bytes
from swarm.features.mask_images import eight_bits
from swarm.media.image import Pixels

_BYTES_PER_PIXEL = 2200
"""What decoding takes per pixel and byte of number format: SD's decoder holds a few maps of 128 to 512 channels."""
_MOST_PIXELS = 4 * 1024 * 1024
_MOST_PIXELS_CPU = 512 * 512
"""Above that the maps leave the cache: four pictures of 512² together took 1.5 times as long as one by one."""


def decode_limit(device: Device, width: int, height: int) -> int:
    """How many pictures of a size to decode together: what fits in three quarters of the free memory, at least one."""
    each = width * height
    size = 4 if device.decode is torch.float32 else 2
    fitting = int(device.free_memory() * 0.75) // (each * size * _BYTES_PER_PIXEL)
    return max(1, min(fitting, (_MOST_PIXELS if device.is_cuda else _MOST_PIXELS_CPU) // each))


def decode(components: Components, device: Device, latents: Sequence[torch.Tensor]) -> torch.Tensor:
    """Finished latents (1, C, h, w) in the model's scale, all of one size, as images (n, 3, H, W), 0 to 1."""
    stacked = torch.cat(list(latents))
    if not device.is_cuda and _is_too_much(components, device, stacked):
        pictures: torch.Tensor | None = None
    else:
        pictures = _at_once(components, stacked)
    if pictures is None:
        pictures = _in_tiles(components, device, stacked)
    return pictures.float().mul(0.5).add(0.5).clamp(0, 1)


def _at_once(components: Components, stacked: torch.Tensor) -> torch.Tensor | None:
    """None when there is no room for that: tiles are to begin when the error no longer holds what was half made."""
    try:
        return components.vae.decode(stacked)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None


def as_pixels(images: torch.Tensor) -> list[Pixels]:
    """Images (n, 3 or 4, H, W), 0 to 1, as bytes."""
    frames = eight_bits(images).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    mode = "RGBA" if images.shape[1] == 4 else "RGB"
    return [Pixels(width=frame.shape[1], height=frame.shape[0], mode=mode, data=frame.tobytes()) for frame in frames]


def _is_too_much(components: Components, device: Device, stacked: torch.Tensor) -> bool:
    """Whether decoding in one piece would take more memory than there is; on the CPU that does not end in an error."""
    count, _, height, width = stacked.shape
    factor = components.vae_factor
    return count * decode_bytes(components, device, width * factor, height * factor) > device.free_memory() * 0.75


def _in_tiles(components: Components, device: Device, stacked: torch.Tensor) -> torch.Tensor:
    device.give_back()
    components.vae.enable_tiling()
    try:
        return torch.cat([components.vae.decode(one) for one in stacked.split(1)])
    finally:
        components.vae.disable_tiling()


def as_tensor(image: Image.Image) -> torch.Tensor:
    """A picture as (1, C, H, W), 0 to 1, float32 on the CPU."""
    levels = torch.from_numpy(np.array(image, dtype=np.float32) / 255.0)
    return (levels[:, :, None] if levels.ndim == 2 else levels).permute(2, 0, 1)[None]


def encode(components: Components, device: Device, image: torch.Tensor) -> torch.Tensor:
    """An image (1, 3, H, W), 0 to 1, as a clean latent (1, C, h, w), float32 on the device, in the model's scale."""
    batch = image[:, :3].mul(2).sub(1).to(device=device.place)
    try:
        return components.vae.encode(batch)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    device.give_back()
    components.vae.enable_tiling()
    try:
        return components.vae.encode(batch)
    finally:
        components.vae.disable_tiling()
