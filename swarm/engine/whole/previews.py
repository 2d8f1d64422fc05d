"""What a whole pipeline's picture or clip looks like on its way: clean latents as small pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch
from PIL import Image

from swarm.architectures.architecture import LatentFormat
from swarm.architectures.families.latents import QWEN_LATENT
from swarm.architectures.families.video_latents import (
    HUNYUAN_15_LATENT,
    HUNYUAN_LATENT,
    LTX_LATENT,
    MOCHI_LATENT,
    WAN_22_LATENT,
)
from swarm.engine.device import Device
from swarm.engine.preview import Colours, as_jpeg
from swarm.engine.vaes.tiny_vae import TinyVae, readable
from swarm.features.video import ANIMATE, HIDDEN, ITERATE
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture

_LONG_SIDE = 256
_FRAMES = 12
_SECONDS = 2
_PUBLISHED: dict[str, tuple[LatentFormat, ...]] = {
    "AutoencoderKLHunyuanVideo": (HUNYUAN_LATENT,),
    "AutoencoderKLHunyuanVideo15": (HUNYUAN_15_LATENT,),
    "AutoencoderKLLTXVideo": (LTX_LATENT,),
    "AutoencoderKLMochi": (MOCHI_LATENT,),
    "AutoencoderKLQwenImage": (QWEN_LATENT,),
    "AutoencoderKLWan": (QWEN_LATENT, WAN_22_LATENT),
}
"""The latent spaces that VAEs of these classes were published with."""
_UNDECODABLE = (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError, IndexError, KeyError)


class Shown:
    """Latents of one pipeline as pictures. Knows no colours where its VAE is of a kind that cannot be asked."""

    def __init__(self, pipe: Any, device: Device) -> None:
        self._shown = 0
        self._device = device
        self._vae = getattr(pipe, "vae", None) or getattr(pipe, "vqvae", None)
        self._colours = published(self._vae) or _fitted(self._vae)
        self._decoders: dict[str, TinyVae | None] = {}

    def picture(
        self, pipe: Any, latent: torch.Tensor, given: Any, *, how: str = ANIMATE, tiny: ModelFile | None = None
    ) -> Picture | None:
        """A clean latent in the pipeline's own arrangement. `given`: what the pipeline was called with. `tiny`: a tiny
        decoder for its latents, used where the device is quick enough.

        None when it cannot be made out. `how`: a clip as an animated WebP (`animate`), one frame after the other each
        time it is shown (`iterate`), always its middle frame (`one`), or not at all (`none`).
        """
        if self._colours is None or how == HIDDEN:
            return None
        frames = arranged(pipe, latent, given, len(self._colours.factors))
        if frames is None:
            return None
        decoder = None if tiny is None or not self._device.is_cuda else self._decoder(tiny)
        if decoder is not None and not decoder.sees(frames):
            decoder = None
        count = frames.shape[0]
        self._shown += 1
        if count == 1 or how != ANIMATE:
            index = self._shown % count if how == ITERATE else count // 2
            frame = frames[index][None]
            return self._colours.picture(frame) if decoder is None else as_jpeg(self._decoded(decoder, frame))
        chosen = frames[:: max(1, count // _FRAMES)].split(1)
        if decoder is None:
            return animation([self._colours.rgb(frame) for frame in chosen])
        return animation([self._decoded(decoder, frame) for frame in chosen])

    def _decoder(self, file: ModelFile) -> TinyVae | None:
        if file.stamp not in self._decoders:
            self._decoders[file.stamp] = readable(file, self._device)
        return self._decoders[file.stamp]

    def _decoded(self, decoder: TinyVae, frame: torch.Tensor) -> torch.Tensor:
        return decoder.rgb(_in_vae_scale(self._vae, frame) if decoder.reads_bare else frame)


def animation(frames: Sequence[torch.Tensor]) -> Picture:
    """Frames (H, W, 3), -1 to 1, as an animated WebP."""
    levels = torch.stack(list(frames)).mul(127.5).add(127.5).clamp(0, 255).to(torch.uint8).cpu().numpy()
    scale = min(8.0, _LONG_SIDE / max(levels.shape[1:3]))
    size = max(1, round(levels.shape[2] * scale)), max(1, round(levels.shape[1] * scale))
    images = [Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR) for frame in levels]
    file = io.BytesIO()
    pause = max(50, _SECONDS * 1000 // len(images))
    images[0].save(file, "WEBP", save_all=True, append_images=images[1:], duration=pause, loop=0, quality=60, method=0)
    return Picture(data=file.getvalue(), mime="image/webp")


def arranged(pipe: Any, latent: torch.Tensor, given: Any, channels: int) -> torch.Tensor | None:
    """A latent as (frames, channels, h, w); None for an arrangement nobody knows."""
    if latent.ndim == 3:
        found = unpacked(pipe, latent, given)
        if found is None:
            return None
        latent = found
    if latent.ndim == 4 and latent.shape[1] == channels:
        return latent[:1]
    if latent.ndim == 5 and latent.shape[1] == channels:
        return latent[0].transpose(0, 1)
    if latent.ndim == 5 and latent.shape[2] == channels:
        return latent[0]
    return None


def unpacked(pipe: Any, latent: torch.Tensor, given: Any) -> torch.Tensor | None:
    """Tokens (1, count, width) as a latent, by the pipeline's own function for that."""
    unpack = getattr(pipe, "_unpack_latents", None)
    if unpack is None or "width" not in given:
        return None
    known = signature(unpack).parameters
    told: dict[str, Any] = {"latents": latent[:1], "height": given["height"], "width": given["width"]}
    if "vae_scale_factor" in known:
        told["vae_scale_factor"] = pipe.vae_scale_factor
    if "num_frames" in known:
        cell = pipe.vae_spatial_compression_ratio
        told |= {"height": given["height"] // cell, "width": given["width"] // cell}
        told["num_frames"] = (given["num_frames"] - 1) // pipe.vae_temporal_compression_ratio + 1
        told["patch_size"] = pipe.transformer_spatial_patch_size
        told["patch_size_t"] = pipe.transformer_temporal_patch_size
    try:
        found: torch.Tensor = unpack(**{name: value for name, value in told.items() if name in known})
    except _UNDECODABLE:
        return None
    return found


def published(vae: Any) -> Colours | None:
    """The colour matrix that is known for a VAE's class and number of channels."""
    channels = _channels(vae)
    for space in _PUBLISHED.get(type(vae).__name__, ()):
        if space.channels == channels:
            factors = torch.tensor(space.rgb_factors, device=vae.device)
            return Colours(factors=factors, bias=torch.tensor(space.rgb_bias, device=vae.device))
    return None


def _channels(vae: Any) -> int | None:
    config = getattr(vae, "config", None)
    return None if config is None else config.get("latent_channels") or config.get("z_dim")


def _fitted(vae: Any) -> Colours | None:
    """A colour matrix by least squares: decode patches of random latents and see which colour each comes out as."""
    channels = _channels(vae)
    if not channels:
        return None
    generator = torch.Generator("cpu").manual_seed(0)
    patches = torch.randn((8, channels, 2, 2), generator=generator).repeat_interleave(4, 2).repeat_interleave(4, 3)
    try:
        seen = _decoded(vae, _in_vae_scale(vae, patches.to(vae.device)))
    except _UNDECODABLE:
        return None
    known = patches.permute(0, 2, 3, 1).reshape(-1, channels)
    known = torch.cat([known, torch.ones_like(known[:, :1])], dim=1)
    small = torch.nn.functional.adaptive_avg_pool2d(seen.float().cpu(), 8)
    colours = small.permute(0, 2, 3, 1).reshape(-1, small.shape[1])[:, :3]
    solution = torch.linalg.lstsq(known, colours).solution.to(vae.device)
    return Colours(factors=solution[:-1].contiguous(), bias=solution[-1].contiguous())


def _in_vae_scale(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Latents of the pipeline's scale in the VAE's, (n, C, h, w)."""
    mean, spread = vae.config.get("latents_mean"), vae.config.get("latents_std")
    scale = vae.config.get("scaling_factor") or 1.0
    shift = vae.config.get("shift_factor") or 0.0
    buffers = dict(vae.named_buffers())
    if mean is None and "latents_mean" in buffers:
        mean, spread = buffers["latents_mean"].tolist(), buffers["latents_std"].tolist()
    if mean is not None and spread is not None:
        middle, width = (torch.tensor(values, device=latents.device).view(1, -1, 1, 1) for values in (mean, spread))
        return latents * width / scale + middle
    return latents / scale + shift


def _decoded(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """(n, C, h, w) decoded as (n, 3, H, W); VAEs for clips see clips of one frame."""
    latents = latents.to(vae.dtype)
    known = signature(vae.decode).parameters
    if "num_frames" in known:
        found = vae.decode(latents, num_frames=1).sample
    elif "temb" in known and vae.config.get("timestep_conditioning"):
        found = vae.decode(latents[:, :, None], torch.zeros(len(latents), device=latents.device)).sample
    elif _is_for_clips(vae):
        found = vae.decode(latents[:, :, None]).sample
    else:
        found = vae.decode(latents).sample
    return found[:, :, 0] if found.ndim == 5 else found


def _is_for_clips(vae: Any) -> bool:
    return any(isinstance(module, torch.nn.Conv3d) for module in vae.modules())
