"""Guidance away from what the model says when its self-attention is disturbed. UNet models only.

PAG: the deepest self-attention looks nowhere but at its own place (Ahn et al. 2024, 2403.17377). SAG: what the deepest
self-attention looks at most is blurred (Hong et al. 2022, 2210.00939).
"""

from __future__ import annotations

from math import isqrt, sqrt
from typing import Any

from swarm.features.groups import ALTERNATE_GUIDANCE_GROUP
from swarm.jobs.stage import Stage, StageContext, stage
from swarm.params.kinds import Decimal

_PARAMS: dict[str, Any] = {
    "group": ALTERNATE_GUIDANCE_GROUP,
    "flags": ("comfyui",),
    "advanced": True,
    "toggleable": True,
    "view_type": "slider",
}

SAG_SCALE = Decimal(
    name="Self-Attention Guidance Scale",
    description="How strongly the picture is led away from one whose most watched parts are blurred.",
    default=0.5,
    min=-2,
    max=5,
    step=0.1,
    priority=12.0,
    **_PARAMS,
)
SAG_SIGMA_BLUR = Decimal(
    name="Self-Attention Guidance Sigma Blur",
    description="How far self-attention guidance blurs, in latent cells.",
    default=2.0,
    min=0,
    max=10,
    step=0.25,
    priority=12.5,
    depends_on="selfattentionguidancescale",
    **_PARAMS,
)
PAG_SCALE = Decimal(
    name="Perturbed-Attention Guidance Scale",
    description="How strongly the picture is led away from one made with disturbed self-attention.",
    default=3.0,
    min=0,
    max=100,
    step=0.1,
    priority=13.0,
    **_PARAMS,
)

WATCHED = 1.0
"""Places that get more than their even share of the attention are blurred."""
_KERNEL = 9
PERTURBED, ATTENDED = "perturbed attention", "attention kept"
"""Variants of a row that the UNet denoiser understands."""


@stage(Stage.GUIDE, order=70, when=PAG_SCALE)
def guide_by_perturbed_attention(context: StageContext) -> None:
    scale = context.input.get(PAG_SCALE)
    if scale == 0 or not context.tools.has_variant(PERTURBED):
        return
    weaker = context.tools.predict(context.x, context.sigma, context.positive, variant=PERTURBED)
    context.denoised = context.denoised + (context.cond - weaker) * scale


@stage(Stage.GUIDE, order=75, when=SAG_SCALE, wants_negative=True)
def guide_by_self_attention(context: StageContext) -> None:
    scale = context.input.get(SAG_SCALE)
    if scale == 0 or context.uncond is None or not context.tools.has_variant(ATTENDED):
        return
    if min(context.uncond.shape[-2:]) <= _KERNEL // 2:
        return
    tools, negative = context.tools, context.negative
    tools.predict(context.x, context.sigma, negative, variant=ATTENDED)
    blurred = _blurred_where_watched(context.uncond, tools.last_attention(), context.input.get(SAG_SIGMA_BLUR))
    degraded = tools.predict(blurred + context.x - context.uncond, context.sigma, negative)
    context.denoised = context.denoised + (blurred - degraded) * scale


def _blurred_where_watched(latent: Any, attention: Any, sigma: float) -> Any:
    """A latent (1, C, h, w), blurred where attention (heads, places, places) goes more than elsewhere."""

    from torch.nn.functional import interpolate

    watched = attention.mean(dim=0).sum(dim=0) > WATCHED
    height, width = latent.shape[-2:]
    grid = watched.reshape(1, 1, rows_of(watched.numel(), height, width), -1).to(latent)
    mask = interpolate(grid, size=(height, width), mode="nearest")
    return gaussian(latent, sigma) * mask + latent * (1.0 - mask)


def rows_of(places: int, height: int, width: int) -> int:
    """In how many rows the places of a layer lie, in a latent of that shape: the divisor nearest to what its
    proportions say, the larger of two."""
    wanted = max(1, round(sqrt(height / width * places)))
    near = (row for off in range(isqrt(places) + 1) for row in (wanted + off, max(1, wanted - off)))
    return next(row for row in near if places % row == 0)


def gaussian(latent: Any, sigma: float) -> Any:
    """A latent blurred by a bell of nine cells."""
    if sigma <= 0:
        return latent
    import torch
    from torch.nn.functional import conv2d, pad

    reach = min(_KERNEL // 2, latent.shape[-1] - 1, latent.shape[-2] - 1)
    places = torch.arange(-reach, reach + 1, device=latent.device, dtype=latent.dtype)
    bell = torch.exp(-0.5 * (places / sigma) ** 2)
    bell = bell / bell.sum()
    channels = latent.shape[1]
    padded = pad(latent, (reach, reach, reach, reach), mode="reflect")
    across = conv2d(padded, bell.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return conv2d(across, bell.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
