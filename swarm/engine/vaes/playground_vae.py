"""The latents of Playground 2.5: those of SDXL's VAE, with mean and spread of each channel taken out."""

from __future__ import annotations

import torch

from swarm.architectures.families.latents import PLAYGROUND_LATENT, SDXL_LATENT
from swarm.engine.components import Vae

_MEAN = (-1.6574, 1.886, -1.383, 2.5155)
_SPREAD = (8.4927, 5.9022, 6.5498, 5.2299)


class PlaygroundVae(Vae):
    """Any SDXL VAE, speaking in the scale that Playground 2.5 was trained in."""

    def __init__(self, plain: Vae) -> None:
        super().__init__(plain.module, factor=plain.factor, latent=PLAYGROUND_LATENT)
        self.scale, self.shift = PLAYGROUND_LATENT.scale, PLAYGROUND_LATENT.shift
        self._mean, self._spread = (torch.tensor(each).view(1, -1, 1, 1) for each in (_MEAN, _SPREAD))

    def bare(self, latents: torch.Tensor) -> torch.Tensor:
        latents = super().bare(latents)
        return latents * self._spread.to(latents) + self._mean.to(latents)

    def usual(self, latents: torch.Tensor) -> torch.Tensor:
        return self.bare(latents) * SDXL_LATENT.scale

    def encoded(self, pictures: torch.Tensor) -> torch.Tensor:
        plain = super().encoded(pictures)
        return (plain - self._mean.to(plain)) / self._spread.to(plain)
