"""What a request may cost: refused in a sentence before anything is promised, however it came to ask for so much."""

from __future__ import annotations

from swarm.base.errors import BadInput, Refused
from swarm.features.core import BATCH_SIZE, IMAGES, STEPS
from swarm.features.refiner import upscaled
from swarm.features.resolution import resolved_size
from swarm.params.input import GenerationInput
from swarm.settings.server import PerformanceSettings

_MILLION, _GIGA = 1_000_000, 1_000_000_000


def check_size(input: GenerationInput, limits: PerformanceSettings) -> None:
    """Raises BadInput when a picture of the request would become larger than any may."""
    width, height = _final_size(input)
    if limits.max_megapixels > 0 and width * height > limits.max_megapixels * _MILLION:
        raise BadInput(
            f"A picture of {width}x{height} is too large: this server makes at most {limits.max_megapixels:g} "
            "megapixels (its setting Performance.MaxMegapixels)."
        )


def cost_of_one(input: GenerationInput) -> float:
    """Pixels times steps of one task of the request, in thousand millions."""
    width, height = _final_size(input)
    return width * height * max(1, input.get(STEPS)) * input.get(BATCH_SIZE) / _GIGA


def check_work(input: GenerationInput, waiting: float, limits: PerformanceSettings) -> None:
    """Raises Refused when the request is more work than its user may have waiting. `waiting`: what there is already."""
    wanted, limit = cost_of_one(input) * input.get(IMAGES), limits.max_gigapixel_steps_per_user
    if limit > 0 and waiting + wanted > limit:
        raise Refused(
            f"This is too much work at once: {waiting + wanted:.2f} thousand million pixel steps would wait for you, "
            f"and {limit:g} is the limit. Ask for fewer pictures, smaller ones or fewer steps, or wait."
        )


def _final_size(input: GenerationInput) -> tuple[int, int]:
    """The largest the picture becomes on its way."""
    width, height = resolved_size(input)
    return max(width, upscaled(width, input)), max(height, upscaled(height, input))
