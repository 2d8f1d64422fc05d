"""What a picture looks like before it is finished: the predicted clean latent as a small JPEG, by a colour matrix."""

from __future__ import annotations

import io
from dataclasses import dataclass

import torch
from PIL import Image

from swarm.engine.components import Components
from swarm.engine.device import Device
from swarm.media.image import Picture

SECONDS_BETWEEN = 0.25
_LONG_SIDE = 512
ENLARGED = 4
"""How many times a picture of one pixel to a cell is enlarged."""
_PATCH = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Colours:
    """`factors` (C, 3) and `bias` (3,) on the device: latent channels to RGB in -1 … 1. Latents of four times as many
    channels are patches of two by two."""

    factors: torch.Tensor
    bias: torch.Tensor

    def rgb(self, latent: torch.Tensor) -> torch.Tensor:
        """A latent (1, C, h, w) as pixels (h, w, 3), one for each of its cells."""
        cells = latent[0].float()
        if len(cells) == len(self.factors) * _PATCH**2:
            cells = torch.nn.functional.pixel_shuffle(cells, _PATCH)
        return torch.einsum("chw,cr->hwr", cells, self.factors) + self.bias

    def picture(self, latent: torch.Tensor) -> Picture:
        """A latent (1, C, h, w) as a JPEG of about four times its side, at most 512 pixels."""
        return as_jpeg(self.rgb(latent), enlarged=ENLARGED)


def as_jpeg(rgb: torch.Tensor, *, enlarged: int = 1) -> Picture:
    """(H, W, 3), -1 to 1, as a JPEG of at most 512 pixels a side."""
    return jpeg(levels(rgb).cpu(), enlarged=enlarged)


def levels(rgb: torch.Tensor) -> torch.Tensor:
    """Pixels from -1 to 1 as bytes."""
    return rgb.mul(127.5).add(127.5).clamp(0, 255).to(torch.uint8)


def jpeg(levels: torch.Tensor, *, enlarged: int = 1) -> Picture:
    """Bytes (H, W, 3) on the processor as a JPEG of at most 512 pixels a side."""
    image = Image.fromarray(levels.numpy())
    scale = min(enlarged, _LONG_SIDE / max(image.size))
    if scale > 1:
        size = round(image.width * scale), round(image.height * scale)
        image = image.resize(size, Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return Picture(data=file.getvalue(), mime="image/jpeg")


def colours_for(components: Components, device: Device) -> Colours:
    """The family's colour matrix, or one fitted to the VAE when the family's is for another one."""
    known = components.latent
    channels = components.vae.channels
    fits = channels in (len(known.rgb_factors), len(known.rgb_factors) * _PATCH**2)
    if fits and components.vae_factor == known.downscale:
        factors = torch.tensor(known.rgb_factors, device=device.place)
        return Colours(factors=factors, bias=torch.tensor(known.rgb_bias, device=device.place))
    return fitted(components, device)


def fitted(components: Components, device: Device) -> Colours:
    """A colour matrix by least squares: decode patches of random latents and see which colour each comes out as."""
    channels = components.vae.channels
    generator = torch.Generator("cpu").manual_seed(0)
    patches = torch.randn((16, channels, 2, 2), generator=generator).repeat_interleave(4, 2)
    patches = patches.repeat_interleave(4, 3).to(device.place)
    pictures = components.vae.decode(patches).float()
    small = torch.nn.functional.adaptive_avg_pool2d(pictures, 8)
    known = patches.permute(0, 2, 3, 1).reshape(-1, channels)
    known = torch.cat([known, torch.ones_like(known[:, :1])], dim=1).cpu()
    seen = small.permute(0, 2, 3, 1).reshape(-1, small.shape[1])[:, :3].cpu()
    solution = torch.linalg.lstsq(known, seen).solution.to(device.place)
    return Colours(factors=solution[:-1].contiguous(), bias=solution[-1].contiguous())
