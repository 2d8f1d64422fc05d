"""What the brightness of a picture is."""

from __future__ import annotations

from typing import Any

_GRAY = (0.299, 0.587, 0.114)


def gray(image: Any) -> Any:
    """A picture (1, 3, H, W), 0 to 1, as brightness (1, 1, H, W), in whole levels, as pictures are stored."""
    import torch

    weights = torch.tensor(_GRAY, dtype=image.dtype, device=image.device)[:, None, None]
    return (image[:, :3] * weights).sum(dim=1, keepdim=True).mul(255.0).round().div(255.0)
