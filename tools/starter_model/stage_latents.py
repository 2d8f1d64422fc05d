"""First stage: every training scene is drawn once and kept as a thumbnail, which is all the denoiser ever sees."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tools.starter_model.dataset import pixels_at
from tools.starter_model.progress import say
from tools.starter_model.thumbnail import Rounding, thumbnails

SHARD = 1000
BATCH = 50


def make_latents(folder: Path, *, seed: int, count: int, sketched: bool = False) -> None:
    """Write shards of raw latents until there are `count` scenes, skipping those already there."""
    for shard in range(count // SHARD):
        path = _shard_path(folder, shard, sketched)
        if not path.exists():
            _write(path, encode(seed, range(shard * SHARD, (shard + 1) * SHARD), sketched=sketched))
            say(f"latents {(shard + 1) * SHARD} of {count}")


def read_latents(folder: Path, *, sketched: bool = False) -> Tensor:
    """All latents written so far, in scene order, rounded to unit variance."""
    shards: list[Tensor] = []
    while (path := _shard_path(folder, len(shards), sketched)).exists():
        shards.append(torch.from_numpy(np.load(path)).float())
    if not shards:
        raise FileNotFoundError("there are no latents yet: --stage latents")
    return rounding_of(folder)(torch.cat(shards))


def rounding_of(folder: Path) -> Rounding:
    """The change of basis, measured on the first shard of ordinary scenes."""
    return Rounding.of(torch.from_numpy(np.load(_shard_path(folder, 0, False))).float())


def encode(seed: int, indices: range, *, sketched: bool = False) -> Tensor:
    """The raw latents of the scenes."""
    starts = range(indices.start, indices.stop, BATCH)
    batches = [range(start, min(start + BATCH, indices.stop)) for start in starts]
    return torch.cat(
        [thumbnails(np.stack([pixels_at(seed, index, sketched=sketched) for index in batch])) for batch in batches]
    )


def _shard_path(folder: Path, shard: int, sketched: bool) -> Path:
    return folder / f"latents-{'sketched-' if sketched else ''}{shard:03}.npy"


def _write(path: Path, latents: Tensor) -> None:
    partial = path.with_suffix(".partial.npy")
    np.save(partial, latents.half().numpy())
    partial.replace(path)
