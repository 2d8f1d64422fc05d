"""Other ways to combine what the prompt and the negative prompt predict: published methods, each in a few lines.

They act in the order in which SwarmUI's workflows have them: what changes the predictions (TCFG), then one way of
combining them (of Rescale CFG, Renorm CFG and Dynamic Thresholding the last that is asked for), then what adds to it.
"""

from __future__ import annotations

from typing import Any

from swarm.diffusion.guidance import combine
from swarm.features.core import CFG_SCALE
from swarm.features.groups import ALTERNATE_GUIDANCE_GROUP
from swarm.jobs.stage import Stage, StageContext, stage
from swarm.params.kinds import Boolean, Decimal

_PARAMS: dict[str, Any] = {"group": ALTERNATE_GUIDANCE_GROUP, "flags": ("comfyui",), "advanced": True}

RENORM_CFG = Decimal(
    name="Renorm CFG",
    description="Keeps the guided prediction no longer than this many times the prompt's own. 0 is off.",
    default=0.0,
    min=0,
    max=100,
    view_max=2,
    step=0.1,
    ignore_if="0",
    priority=15.0,
    view_type="slider",
    **_PARAMS,
)
USE_CFG_ZERO_STAR = Boolean(
    name="Use CFG Zero Star",
    description="Scales the negative prediction to fit the prompt's before guiding (CFG-Zero*).",
    ignore_if="false",
    priority=16.0,
    **_PARAMS,
)
USE_TCFG = Boolean(
    name="Use TCFG",
    description="Takes from the negative prediction what does not point along with the prompt's (tangential damping).",
    ignore_if="false",
    priority=17.0,
    **_PARAMS,
)


@stage(Stage.GUIDE, order=10, when=USE_TCFG)
def damp_tangentially(context: StageContext) -> None:
    """The negative noise prediction, projected on the main direction of both (TCFG, 2503.18137)."""
    if context.uncond is None or not context.input.get(USE_TCFG):
        return
    import torch

    cond, uncond = context.x - context.cond, context.x - context.uncond
    both = torch.stack([cond.flatten(), uncond.flatten()])
    main = torch.linalg.svd(both, full_matrices=False).Vh[0]
    damped = (uncond.flatten() @ main * main).reshape(uncond.shape)
    context.uncond = context.x - damped
    _guide_anew(context)


@stage(Stage.GUIDE, order=40, when=RENORM_CFG)
def limit_the_norm(context: StageContext) -> None:
    """The guided prediction of the clean latent, no longer than a multiple of the prompt's (Lumina-Image 2.0)."""
    most = context.input.get(RENORM_CFG)
    if most <= 0:
        return
    _guide_anew(context)
    limit = context.cond.norm() * most
    context.denoised = context.denoised * (limit / context.denoised.norm().clamp(min=1e-8)).clamp(max=1.0)


@stage(Stage.GUIDE, order=60, when=USE_CFG_ZERO_STAR)
def scale_the_negative(context: StageContext) -> None:
    """The negative prediction times what brings its noise nearest to the prompt's (CFG-Zero*, 2503.18886)."""
    if context.uncond is None or not context.input.get(USE_CFG_ZERO_STAR):
        return
    cond, uncond = context.x - context.cond, context.x - context.uncond
    fit = (cond * uncond).sum() / ((uncond * uncond).sum() + 1e-8)
    context.denoised = context.denoised + context.uncond * ((fit - 1.0) * (1.0 - context.input.get(CFG_SCALE)))


def _guide_anew(context: StageContext) -> None:
    if context.uncond is None:
        context.denoised = context.cond
    else:
        context.denoised = combine(context.cond, context.uncond, context.input.get(CFG_SCALE))
