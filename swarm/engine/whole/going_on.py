"""Clips that go on from the last frames of another: as many of them as the model can be shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from diffusers import LTXConditionPipeline, LTXImageToVideoPipeline, LTXPipeline, WanImageToVideoPipeline, WanPipeline
from PIL import Image

from swarm.base.errors import BadInput
from swarm.engine.whole.arguments import whole_frames
from swarm.media.clip import Clip
from swarm.media.image import to_pillow

_LTX = (LTXPipeline, LTXImageToVideoPipeline, LTXConditionPipeline)
_WAN = (WanPipeline, WanImageToVideoPipeline)


class WanGoingOn(WanImageToVideoPipeline):
    """Wan's clips from a picture, shown the first frames of the clip (`before`) where it is usually shown one."""

    before: tuple[Image.Image, ...] = ()

    def prepare_latents(
        self,
        image: torch.Tensor,
        batch_size: int,
        num_channels_latents: int,
        height: int,
        width: int,
        num_frames: int,
        dtype: torch.dtype,
        device: torch.device,
        generator: torch.Generator,
        latents: torch.Tensor | None = None,
        last_image: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """(noise, what the network sees of the known frames, and for the 5B model which latents are to be made)."""
        steps, cell = self.vae_scale_factor_temporal, self.vae_scale_factor_spatial
        count, rows, columns = (num_frames - 1) // steps + 1, height // cell, width // cell
        known = (len(self.before) - 1) // steps + 1
        shape = (batch_size, num_channels_latents, count, rows, columns)
        noise = torch.randn(shape, generator=generator, dtype=dtype).to(device)
        shown = self.video_processor.preprocess(list(self.before), height=height, width=width)
        film = shown.to(device, dtype=torch.float32).transpose(0, 1)[None]
        if self.config.expand_timesteps:
            missing = noise.new_zeros((1, num_channels_latents, count - known, rows, columns))
            made = noise.new_ones((1, 1, count, rows, columns))
            made[:, :, :known] = 0
            return noise, torch.cat([self._seen(film, dtype), missing], dim=2), made
        rest = film.new_zeros((1, film.shape[1], num_frames - film.shape[2], height, width))
        seen = self._seen(torch.cat([film, rest], dim=2), dtype)
        given = noise.new_zeros((1, steps, count, rows, columns))
        given[:, :, :known] = 1
        return noise, torch.cat([given, seen], dim=1)

    def _seen(self, film: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """A film (1, 3, frames, height, width), -1 to 1, as latents in the network's scale."""
        config = self.vae.config
        clean = self.vae.encode(film.to(self.vae.dtype)).latent_dist.mode().to(film.device, dtype)
        mean, spread = (
            clean.new_tensor(values).view(1, -1, 1, 1, 1) for values in (config.latents_mean, config.latents_std)
        )
        return (clean - mean) / spread


def shared_frames(pipe: Any, wished: int, frames: int) -> int:
    """With how many frames of the clip before an extension of `frames` begins. Raises BadInput when nothing is left."""
    sees_films = isinstance(pipe, _LTX) or (isinstance(pipe, _WAN) and sees_pictures(pipe))
    shared = whole_frames(pipe, wished) if sees_films else 1
    if whole_frames(pipe, frames) <= shared:
        raise BadInput(
            f"An extension of {frames} frames is not longer than what it shares with the video before ({shared} "
            "frames). Give it more frames, or lower the Video Extend Frame Overlap."
        )
    return shared


def sees_pictures(pipe: Any) -> bool:
    """Whether a video network has channels for a picture beside the noise, or takes it as a first frame without."""
    config = pipe.transformer.config
    return bool(pipe.config.get("expand_timesteps")) or config.in_channels > config.out_channels


def pipeline_going_on(pipe: Any) -> Any:
    """The class that is shown several frames to begin with, for those that `shared_frames` says more than one for."""
    return LTXConditionPipeline if isinstance(pipe, _LTX) else WanGoingOn


def scheduler_going_on(kind: Any, own: Any) -> Any:
    """The scheduler for a class of pipelines: LTX's that is shown frames brings its own noise levels."""
    if kind is not LTXConditionPipeline:
        return own
    return type(own).from_config(own.config, use_dynamic_shifting=False, shift=1.0, shift_terminal=None)


def last_frames(clip: Clip, count: int, size: tuple[int, int]) -> tuple[Image.Image, ...]:
    """In the size they are to be seen in."""
    frames = (to_pillow(clip.frame(index)) for index in range(clip.count - count, clip.count))
    return tuple(frame.convert("RGB").resize(size, Image.Resampling.LANCZOS) for frame in frames)


def joined(before: Clip, after: Clip, shared: int) -> Clip:
    """One clip of both: `after` begins with `shared` frames that `before` ends with. It is stretched where a model
    could not keep the size."""
    new = (to_pillow(after.frame(index)) for index in range(shared, after.count))
    size = before.width, before.height
    data = b"".join(
        (frame if frame.size == size else frame.resize(size, Image.Resampling.LANCZOS)).tobytes() for frame in new
    )
    return replace(before, data=before.data + data)
