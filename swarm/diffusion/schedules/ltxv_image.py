"""The schedule of LTX-Video."""

from __future__ import annotations

from math import exp

from swarm.diffusion.schedule import ScheduleOptions, evenly, schedule
from swarm.diffusion.sigmas import SigmaTable, shifted

_FEW, _MANY = 1024, 4096
_LOW, _HIGH = 0.95, 2.05
_LAST = 0.1


@schedule("ltxv-image", "LTXV-Image", order=110, keeps_all=True)
def ltxv_image(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Even shares of noise, shifted by the size of the latent, stretched so that the last is 0.1; for flow models."""
    shift = exp(_LOW + (_HIGH - _LOW) * (options.cells - _FEW) / (_MANY - _FEW))
    shares = [shifted(share, shift) for share in evenly(1.0, 0.0, n + 1)[:-1]]
    if n == 1:
        return [1.0, 0.0]
    stretch = (1.0 - _LAST) / (1.0 - shares[-1])
    return [*(1.0 - (1.0 - share) * stretch for share in shares), 0.0]
