"""Between pixels and latents: the VAE in both directions, in batches that fit, in tiles where one picture does not."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from swarm.base.errors import BadInput
from swarm.engine.device import Device, is_out_of_memory
from swarm.engine.loader import Components
from swarm.engine.room import decode_bytes
from swarm.media.image import Picture, Pixels

_BYTES_PER_PIXEL = 2200
"""What decoding takes per pixel and byte of number format: SD's decoder holds a few maps of 128 to 512 channels."""
_MOST_PIXELS = 4 * 1024 * 1024
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_MAX_PIXELS = 128 * 1024 * 1024


def decode_limit(device: Device, width: int, height: int) -> int:
    """How many pictures of a size to decode together: what fits in three quarters of the free memory, at least one."""
    each = width * height
    size = 4 if device.decode is torch.float32 else 2
    fitting = int(device.free_memory() * 0.75) // (each * size * _BYTES_PER_PIXEL)
    return max(1, min(fitting, _MOST_PIXELS // each))


def decode(components: Components, device: Device, latents: Sequence[torch.Tensor]) -> list[Pixels]:
    """Finished latents (1, C, h, w) in the model's scale, all of one size, as pixels."""
    config = components.vae.config
    stacked = torch.cat(list(latents)) / config.scaling_factor + (config.shift_factor or 0.0)
    if not device.is_cuda and _is_too_much(components, device, stacked):
        pictures = _in_tiles(components, device, stacked)
    else:
        try:
            pictures = components.vae.decode(stacked.to(device.decode)).sample
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            pictures = _in_tiles(components, device, stacked)
    levels = pictures.float().mul(127.5).add(127.5).clamp(0, 255).round().to(torch.uint8)
    frames = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return [Pixels(width=frame.shape[1], height=frame.shape[0], mode="RGB", data=frame.tobytes()) for frame in frames]


def _is_too_much(components: Components, device: Device, stacked: torch.Tensor) -> bool:
    """Whether decoding in one piece would take more memory than there is; on the CPU that does not end in an error."""
    count, _, height, width = stacked.shape
    factor = components.vae_factor
    return count * decode_bytes(components, device, width * factor, height * factor) > device.free_memory() * 0.75


def _in_tiles(components: Components, device: Device, stacked: torch.Tensor) -> torch.Tensor:
    device.give_back()
    components.vae.enable_tiling()
    try:
        return torch.cat([components.vae.decode(one.to(device.decode)).sample for one in stacked.split(1)])
    finally:
        components.vae.disable_tiling()


def opened(picture: Picture, width: int, height: int) -> Image.Image:
    """An uploaded picture as RGB, stretched to width × height (swarm-t2i 9.6). Raises BadInput when it is none."""
    try:
        with Image.open(io.BytesIO(picture.data), formats=_FORMATS) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise BadInput(f"The init image is too large: {image.width}x{image.height}.")
            converted = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"The init image cannot be read: {error}") from None
    if converted.size == (width, height):
        return converted
    return converted.resize((width, height), Image.Resampling.LANCZOS)


def encode(
    components: Components, device: Device, image: Image.Image, *, noise: float, noise_seed: int
) -> torch.Tensor:
    """A picture as a clean latent (1, C, h, w), float32 on the device, in the model's scale.

    `noise`: strength of normal noise put on the pixels (0 to 1 scale) first, from `noise_seed`. The posterior's mean is
    taken, not a sample, so the same picture always gives the same latent.
    """
    pixels = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255.0)
    if noise > 0:
        generator = torch.Generator("cpu").manual_seed(noise_seed % 2**63)
        pixels = (pixels + torch.randn(pixels.shape, generator=generator) * noise).clamp(0, 1)
    batch = pixels.permute(2, 0, 1)[None].mul(2).sub(1).to(device=device.place, dtype=device.decode)
    config = components.vae.config
    latent = components.vae.encode(batch).latent_dist.mode().float()
    return (latent - (config.shift_factor or 0.0)) * config.scaling_factor
