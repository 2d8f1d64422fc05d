"""Optimised steps, one table per family: NVIDIA's (Sabour et al. 2024), and what others measured in the same way."""

from __future__ import annotations

from math import exp, log

from swarm.diffusion.schedule import ScheduleOptions, evenly, schedule
from swarm.diffusion.sigmas import SigmaTable

_SD1 = "14.6146412293 6.4745760956 3.8636745985 2.6946151520 1.8841921177 1.3943805092 0.9642583904 0.6523686016 0.3977456272 0.1515232662 0.0291671582"  # noqa: E501
_SDXL = "14.6146412293 6.3184485287 3.7681790315 2.1811480769 1.3405244945 0.8620721141 0.5550693289 0.3798540708 0.2332364134 0.1114188177 0.0291671582"  # noqa: E501
_SVD = "700.00 54.5 15.886 7.977 4.248 1.789 0.981 0.403 0.173 0.034 0.002"
_WAN = "1.0 0.997 0.995 0.993 0.991 0.989 0.987 0.985 0.98 0.975 0.973 0.968 0.96 0.946 0.927 0.902 0.864 0.776 0.539 0.208 0.001"  # noqa: E501
_FLUX = "0.9968 0.9886 0.9819 0.975 0.966 0.9471 0.9158 0.8287 0.5512 0.2808 0.001"

_TABLES = {
    "stable-diffusion-xl-v1": _SDXL,
    "segmind-stable-diffusion-1b": _SDXL,
    "stable-video-diffusion-img2vid-v1": _SVD,
    "wan-21-1_3b": _WAN,
    "wan-21-14b": _WAN,
    "wan-22-5b": _WAN,
}


@schedule("align_your_steps", "Align Your Steps", order=70, keeps_all=True)
def align_your_steps(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """The family's optimised sigmas, interpolated in log sigma to the number of steps, the last replaced by 0.

    A family without a table of its own takes that of SD 1, or of Flux.1 where sigmas are shares: Flux.2 and Chroma
    too, as everybody's pictures are made.
    """
    numbers = _TABLES.get(options.compat, _SD1 if table.shift is None else _FLUX)
    logs = [log(float(number)) for number in numbers.split()]
    places = evenly(0.0, len(logs) - 1.0, n + 1)[:-1]
    return [*(exp(_between(logs, place)) for place in places), 0.0]


def _between(values: list[float], place: float) -> float:
    low = min(int(place), len(values) - 2)
    share = place - low
    return values[low] * (1 - share) + values[low + 1] * share
