"""What the latents mean: the mean colour of every 16×16 patch, and how its brightness slants.

The encoder of the shipped autoencoder computes exactly this (`by_hand.py` writes its weights), so latents can also be
had from the pixels directly, which is a hundred times faster.
"""

import numpy as np
import torch
from torch import Tensor

PATCH = 16
SLANT = ((1.0, 0.3), (-0.3, -1.0))
"""How the four quarters of a patch count towards the fourth channel."""


def thumbnails(pixels: np.ndarray) -> Tensor:
    """Raw latents (count × 4 × 16 × 16) of pictures given as bytes, channels last."""
    count, high, wide, _ = pixels.shape
    half = PATCH // 2
    cells = pixels.reshape(count, high // half, half, wide // half, half, 3).mean(axis=(2, 4), dtype=np.float32)
    quarters = (cells / 127.5 - 1).reshape(count, high // PATCH, 2, wide // PATCH, 2, 3)
    colour = quarters.mean(axis=(2, 4))
    slant = np.einsum("nyaxbc,ab->nyx", quarters, np.asarray(SLANT, dtype=np.float32)) / 12
    return torch.from_numpy(np.concatenate([colour, slant[..., None]], axis=-1)).permute(0, 3, 1, 2).contiguous()


class Rounding:
    """The change of basis that gives latents unit variance in every direction."""

    def __init__(self, centre: Tensor, matrix: Tensor) -> None:
        """`matrix @ (raw − centre)` is round."""
        self.centre, self.matrix = centre, matrix

    @classmethod
    def of(cls, raw: Tensor) -> "Rounding":
        """Measured on raw latents."""
        samples = raw.permute(1, 0, 2, 3).flatten(1).double()
        values, vectors = torch.linalg.eigh(torch.cov(samples))
        return cls(samples.mean(dim=1).float(), (torch.diag(values.rsqrt()) @ vectors.T).float())

    def __call__(self, raw: Tensor) -> Tensor:
        """Raw latents made round."""
        return torch.einsum("ij,njyx->niyx", self.matrix, raw - self.centre[:, None, None])
