"""Coarse outlines as thick strokes, by plain arithmetic."""

from __future__ import annotations

from typing import Any

from swarm.features.preprocessors.gray import gray
from swarm.features.preprocessors.preprocessor import Nets, Preprocessor


def scribble(image: Any) -> Any:
    """A picture's coarse outlines as thick strokes: (1, 1, H, W) of 0 and 1. Made from the difference of two blurs."""
    bright = gray(image)
    difference = (_blurred(bright, 2.0) - _blurred(bright, 0.5)).clamp(0, 1) * 255.0
    return (difference > 9.0).float()


def _blurred(bright: Any, sigma: float) -> Any:
    import torch
    from torch.nn.functional import conv2d, pad

    reach = max(1, round(3 * sigma))
    places = torch.arange(-reach, reach + 1, dtype=bright.dtype, device=bright.device)
    weights = torch.exp(-(places**2) / (2 * sigma**2))
    weights = weights / weights.sum()
    padded = pad(bright, (reach,) * 4, mode="replicate")
    return conv2d(conv2d(padded, weights[None, None, None, :]), weights[None, None, :, None])


def _draw(image: Any, nets: Nets) -> Any:
    return scribble(image)


SCRIBBLE = Preprocessor(id="ScribblePreprocessor", draw=_draw, words=("sketch", "scribble"), order=30)
