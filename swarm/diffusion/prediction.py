"""From what a network says to the denoised latent, as pairs of factors. Sigmas are floats; nothing here sees a tensor.

Kinds: `epsilon` and `v_prediction` (beta schedules, x = clean + sigma * noise), `sample` (the network says the clean
latent), `edm` (as `v_prediction` with its sign turned, for data of half that spread: Karras et al. 2022), `flow`
(x = (1 - sigma) * clean + sigma * noise, the network says noise - clean).
"""

from __future__ import annotations

from math import isclose, sqrt

KINDS = ("epsilon", "v_prediction", "sample", "edm", "flow")
_EDM_SPREAD = 0.5


def input_scale(kind: str, sigma: float) -> float:
    """What `x` is multiplied by before the network sees it."""
    return 1.0 if kind == "flow" else 1.0 / sqrt(sigma**2 + _spread(kind) ** 2)


def denoised_factors(kind: str, sigma: float) -> tuple[float, float]:
    """(a, b) with denoised = a * x + b * output. Raises ValueError for a kind that does not exist."""
    if kind in ("epsilon", "flow"):
        return 1.0, -sigma
    if kind in ("v_prediction", "edm"):
        spread = _spread(kind)
        total = sigma**2 + spread**2
        return spread**2 / total, sigma * spread / sqrt(total) * (1 if kind == "edm" else -1)
    if kind == "sample":
        return 0.0, 1.0
    raise ValueError(f"There is no prediction kind '{kind}', only {', '.join(KINDS)}.")


def _spread(kind: str) -> float:
    """The standard deviation of clean latents as the network was trained with it."""
    return _EDM_SPREAD if kind == "edm" else 1.0


def start_scale(kind: str, sigma: float, sigma_max: float) -> float:
    """What standard normal noise is multiplied by at the first sigma.

    Starting from pure noise (`sigma` at the table's end) beta schedules use sqrt(1 + sigma²): the training noise is
    never alone, the clean latent's unit variance belongs to it.
    """
    if kind != "flow" and starts_from_noise(sigma, sigma_max):
        return sqrt(1.0 + sigma**2)
    return sigma


def latent_scale(kind: str, sigma: float) -> float:
    """What a clean latent (init image, or the empty latent) is multiplied by before the noise is added."""
    return 1.0 - sigma if kind == "flow" else 1.0


def starts_from_noise(sigma: float, sigma_max: float) -> bool:
    """Whether a run that starts at `sigma` starts from nothing but noise."""
    return sigma > sigma_max or isclose(sigma, sigma_max, rel_tol=1e-5)


def v_factors(sigma: float) -> tuple[float, float]:
    """(a, b) with v = a * x + b * denoised, for x = clean + sigma * noise: the space CFG rescale works in."""
    root = sqrt(sigma**2 + 1.0)
    return 1.0 / (sigma * root), -root / sigma
