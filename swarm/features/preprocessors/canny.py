"""Outlines one pixel wide, by plain arithmetic."""

from __future__ import annotations

from typing import Any

from swarm.features.preprocessors.gray import gray
from swarm.features.preprocessors.preprocessor import Nets, Preprocessor

_LOW, _HIGH = 100 / 255, 200 / 255
"""Slopes, of pictures from 0 to 1, from which a line may go on, and from which one is begun."""


def canny(image: Any, low: float = _LOW, high: float = _HIGH) -> Any:
    """The outlines in a picture (1, 3, H, W), 0 to 1, one pixel wide: (1, 1, H, W) of 0 and 1 (Canny 1986).

    Slopes by Sobel's filters, added up as |x| + |y|; of each slope only its crest is kept; what is steeper than `high`
    is a line, and so is what is steeper than `low` and hangs together with one.
    """
    import torch
    from torch.nn.functional import max_pool2d

    across, down = _slopes(gray(image))
    steepness = across.abs() + down.abs()
    crests = steepness * _is_crest(steepness, across, down)
    lines, candidates = (crests > high).float(), (crests > low).float()
    while True:
        grown = max_pool2d(lines, 3, 1, 1) * candidates
        if torch.equal(grown, lines):
            return lines
        lines = grown


def _slopes(bright: Any) -> tuple[Any, Any]:
    import torch
    from torch.nn.functional import conv2d, pad

    across = torch.tensor(
        [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], dtype=bright.dtype, device=bright.device
    )
    kernels = torch.stack([across, across.T])[:, None]
    both = conv2d(pad(bright, (1, 1, 1, 1), mode="replicate"), kernels)
    return both[:, :1], both[:, 1:]


def _is_crest(steepness: Any, across: Any, down: Any) -> Any:
    """1 where neither neighbour along the slope is steeper; slopes are sorted into four directions."""
    from torch.nn.functional import pad

    height, width = steepness.shape[-2:]
    around = pad(steepness, (1, 1, 1, 1))

    def beside(dy: int, dx: int) -> Any:
        return around[..., 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]

    flat = down.abs() < across.abs() * 0.41421356
    steep = down.abs() > across.abs() * 2.41421356
    same = (across * down >= 0) & ~flat & ~steep
    other = (across * down < 0) & ~flat & ~steep
    best = (
        flat & (steepness > beside(0, -1)) & (steepness >= beside(0, 1))
        | steep & (steepness > beside(-1, 0)) & (steepness >= beside(1, 0))
        | same & (steepness > beside(-1, -1)) & (steepness > beside(1, 1))
        | other & (steepness > beside(-1, 1)) & (steepness > beside(1, -1))
    )
    return best.to(steepness)


def _draw(image: Any, nets: Nets) -> Any:
    return canny(image)


CANNY = Preprocessor(id="CannyEdgePreprocessor", draw=_draw, words=("canny",), order=10)
