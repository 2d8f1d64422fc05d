"""Previews of the walks that are under way: made on the device, and fetched while that goes on with the next step.

A picture that is looked at at once would have the device waited for, and then wait itself until the JPEG is written and
the next step is asked for. So a preview is told when it has come in, a step later on a GPU, at once on a processor.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from swarm.engine.device import Device, Fetched
from swarm.engine.errands import Errands
from swarm.engine.preview import ENLARGED, jpeg, levels
from swarm.engine.runner import Sampling
from swarm.engine.shot import Shot
from swarm.engine.vaes.tiny_vae import TinyVae, readable
from swarm.features.previews import TINY_VAE


@dataclass(frozen=True, kw_only=True, eq=False)
class _Coming:
    """`walk`: which of the shot's it shows. `enlarged`: how many times its sides are to be larger."""

    shot: Shot
    walk: Sampling
    fetched: Fetched
    enlarged: int


class Showing:
    """The previews of one engine's pictures."""

    def __init__(self, device: Device, errands: Errands) -> None:
        self._device = device
        self._errands = errands
        self._coming: list[_Coming] = []

    def begin(self, shot: Shot) -> None:
        """Make a preview of a picture if it is time for one."""
        walk = shot.walk
        if walk.denoised is None or not shot.live.wants_preview(shot.index):
            return
        if all(one.shot is not shot for one in self._coming):
            rgb, enlarged = self._rgb(walk, walk.denoised)
            fetched = self._device.fetched(levels(rgb))
            self._coming.append(_Coming(shot=shot, walk=walk, fetched=fetched, enlarged=enlarged))

    def tell(self) -> None:
        """Tell of those that have come in. Those of walks that are over are not of interest any more."""
        here = [one for one in self._coming if one.fetched.is_here]
        self._coming = [one for one in self._coming if one not in here]
        for one in here:
            if one.shot.sampling is one.walk and one.walk.question is not None:
                one.shot.live.preview(one.shot.index, jpeg(one.fetched.tensor, enlarged=one.enlarged))

    def _rgb(self, walk: Sampling, latent: torch.Tensor) -> tuple[torch.Tensor, int]:
        """By a tiny VAE if there is one and the device is quick enough, else by a colour matrix, which makes one pixel
        of each cell."""
        file, device = walk.of.files.get(TINY_VAE), self._device
        if file is None or not device.is_cuda:
            return walk.model.colours.rgb(latent), ENLARGED
        tiny: TinyVae | None = self._errands.keep((TINY_VAE, file.path, file.stamp), lambda: readable(file, device))
        if tiny is None or not tiny.sees(latent):
            return walk.model.colours.rgb(latent), ENLARGED
        vae = walk.model.components.vae
        return tiny.rgb(vae.bare(latent) if tiny.reads_bare else vae.usual(latent)), 1
