"""Predictions for the parts of one prompt as one prediction."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from swarm.jobs.stage import Conditioning


def mixed(predictions: torch.Tensor, told: Sequence[Conditioning]) -> torch.Tensor:
    """Predictions (n, C, h, w) for the parts of one prompt as one (1, C, h, w), by their weights at each place."""
    if len(told) == 1:
        return predictions[:1]
    weights = [
        each.weight if isinstance(each.weight, torch.Tensor) else
        torch.full_like(predictions[:1, :1], float(each.weight))
        for each in told
    ]  # fmt: skip
    total = sum(weights[1:], weights[0]).clamp(min=1e-6)
    shares = torch.cat([weight.expand(1, 1, *predictions.shape[2:]) / total for weight in weights])
    return (predictions * shares).sum(dim=0, keepdim=True)
