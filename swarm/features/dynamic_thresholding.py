"""High guidance without its glare: guided predictions are brought back to the spread that a lower scale would give.

The method of sd-dynamic-thresholding (its published options and formulas), on the predictions of the clean latent.
"""

from __future__ import annotations

from math import cos, pi
from typing import Any

from swarm.diffusion.guidance import combine
from swarm.features.core import CFG_SCALE
from swarm.features.groups import DYNAMIC_THRESHOLDING_GROUP
from swarm.features.refiner import REFINER_MODEL
from swarm.jobs.stage import Stage, StageContext, stage
from swarm.params.input import GenerationInput
from swarm.params.kinds import Boolean, Decimal, Dropdown, fixed

_PARAMS: dict[str, Any] = {"group": DYNAMIC_THRESHOLDING_GROUP, "flags": ("dynamic_thresholding",)}
_MODES = fixed(
    "Constant", "Linear Down", "Half Cosine Down", "Cosine Down", "Linear Up", "Half Cosine Up", "Cosine Up",
    "Power Up", "Power Down", "Linear Repeating", "Cosine Repeating",
)  # fmt: skip

DT_MIMIC_SCALE = Decimal(
    name="[DT] Mimic Scale",
    description="The CFG scale whose spread of values the result shall have.",
    default=7.0,
    min=0,
    max=100,
    examples=("5", "7", "9"),
    priority=1.0,
    **_PARAMS,
)
DT_THRESHOLD_PERCENTILE = Decimal(
    name="[DT] Threshold Percentile",
    description="The share of values that must lie within the spread; what lies outside is cut off. 1 cuts nothing.",
    default=1.0,
    min=0,
    max=1,
    step=0.05,
    examples=("1", "0.99", "0.95", "0.9"),
    priority=2.0,
    **_PARAMS,
)
DT_CFG_SCALE_MODE = Dropdown(
    name="[DT] CFG Scale Mode",
    description="How CFG Scale changes from the first step to the last.",
    default="Constant",
    values=_MODES,
    priority=3.0,
    **_PARAMS,
)
DT_CFG_SCALE_MINIMUM = Decimal(
    name="[DT] CFG Scale Minimum",
    description="The lowest CFG scale that the mode leads to.",
    default=0.0,
    min=0,
    max=100,
    examples=("0", "1", "2", "5"),
    priority=4.0,
    depends_on="dtcfgscalemode",
    **_PARAMS,
)
DT_MIMIC_SCALE_MODE = Dropdown(
    name="[DT] Mimic Scale Mode",
    description="How the mimicked scale changes from the first step to the last.",
    default="Constant",
    values=_MODES,
    priority=5.0,
    **_PARAMS,
)
DT_MIMIC_SCALE_MINIMUM = Decimal(
    name="[DT] Mimic Scale Minimum",
    description="The lowest mimicked scale that the mode leads to.",
    default=0.0,
    min=0,
    max=100,
    examples=("0", "1", "2", "5"),
    priority=6.0,
    depends_on="dtmimicscalemode",
    **_PARAMS,
)
DT_SCHEDULER_VALUE = Decimal(
    name="[DT] Scheduler Value",
    description="The exponent of the power modes, or how often the repeating modes repeat.",
    default=4.0,
    min=-999999,
    max=999999,
    examples=("2", "4", "8"),
    priority=7.0,
    **_PARAMS,
)
DT_SEPARATE_FEATURE_CHANNELS = Boolean(
    name="[DT] Separate Feature Channels",
    description="Measures the spread of each latent channel by itself.",
    default=True,
    priority=8.0,
    **_PARAMS,
)
DT_SCALING_STARTPOINT = Dropdown(
    name="[DT] Scaling Startpoint",
    description="Whether values are drawn towards their mean or towards zero.",
    default="MEAN",
    values=fixed("MEAN", "ZERO"),
    priority=9.0,
    **_PARAMS,
)
DT_VARIABILITY_MEASURE = Dropdown(
    name="[DT] Variability Measure",
    description="What counts as spread: the largest distance from the mean (AD), or the standard deviation (STD).",
    default="AD",
    values=fixed("AD", "STD"),
    **_PARAMS,
)
DT_INTERPOLATE_PHI = Decimal(
    name="[DT] Interpolate Phi",
    description="How much of the result is taken; the rest is plain guidance.",
    default=1.0,
    min=0,
    max=1,
    step=0.05,
    examples=("0", "0.25", "0.5", "0.75", "1"),
    priority=11.0,
    **_PARAMS,
)

LAST_STEP = 999.0
_STEPS = 998.0
"""What counts as the whole way, of the 999 training steps that there are."""


def changing(scale: float, mode: str, lowest: float, progress: float, value: float) -> float:
    """A scale after `progress` (0 to 1) of the way. `value`: exponent or number of repetitions."""
    phase = progress * value % 1.0
    shares = {
        "Linear Down": 1.0 - progress,
        "Half Cosine Down": cos(progress),
        "Cosine Down": cos(progress * pi / 2),
        "Linear Up": progress,
        "Half Cosine Up": 1.0 - cos(progress),
        "Cosine Up": 1.0 - cos(progress * pi / 2),
        "Power Up": progress**value if progress > 0 else 0.0,
        "Power Down": 1.0 - progress**value if progress > 0 else 1.0,
        "Linear Repeating": abs(phase - 0.5) * 2.0,
        "Cosine Repeating": cos(2 * pi * progress * value) * 0.5 + 0.5,
    }
    return (scale - lowest) * shares.get(mode, 1.0) + lowest


@stage(Stage.GUIDE, order=50, when=DT_MIMIC_SCALE)
def threshold_dynamically(context: StageContext) -> None:
    """Guide with the full scale, then shrink to the spread of the mimicked one; not where another model refines."""
    if context.of.name != "base" and context.input.has(REFINER_MODEL):
        return
    input, cond = context.input, context.cond
    uncond = cond * 0.0 if context.uncond is None else context.uncond
    progress = max(0.0, LAST_STEP - round(context.tools.timestep(context.sigma))) / _STEPS
    value = input.get(DT_SCHEDULER_VALUE)
    scale = changing(
        input.get(CFG_SCALE), input.get(DT_CFG_SCALE_MODE), input.get(DT_CFG_SCALE_MINIMUM), progress, value
    )
    mimic = changing(
        input.get(DT_MIMIC_SCALE), input.get(DT_MIMIC_SCALE_MODE), input.get(DT_MIMIC_SCALE_MINIMUM), progress, value
    )
    guided = combine(cond, uncond, scale)
    calmed = calmed_to(guided, combine(cond, uncond, mimic), input)
    phi = input.get(DT_INTERPOLATE_PHI)
    context.denoised = calmed * phi + guided * (1.0 - phi)


def calmed_to(guided: Any, mimicked: Any, input: GenerationInput) -> Any:
    """`guided` (1, C, h, w) with the spread of `mimicked`."""
    import torch

    flat, mimic = guided.flatten(2), mimicked.flatten(2)
    means = flat.mean(dim=2, keepdim=True)
    centred, mimic_centred = flat - means, mimic - mimic.mean(dim=2, keepdim=True)
    if not input.get(DT_SEPARATE_FEATURE_CHANNELS):
        flat_shape = (1, 1, -1)
        wanted = _spread(mimic_centred.reshape(flat_shape), input, 1.0)
        found = _spread(centred.reshape(flat_shape), input, input.get(DT_THRESHOLD_PERCENTILE))
    else:
        wanted = _spread(mimic_centred, input, 1.0)
        found = _spread(centred, input, input.get(DT_THRESHOLD_PERCENTILE))
    if input.get(DT_SCALING_STARTPOINT) == "ZERO":
        result = flat * (wanted / found)
    elif input.get(DT_VARIABILITY_MEASURE) == "STD":
        result = centred / found * wanted + means
    else:
        most = torch.maximum(wanted, found)
        result = centred.clamp(-most, most) / most * wanted + means
    return result.reshape(guided.shape)


def _spread(centred: Any, input: GenerationInput, percentile: float) -> Any:
    """(1, C or 1, 1), never 0."""
    if input.get(DT_VARIABILITY_MEASURE) == "STD":
        return centred.std(dim=2, keepdim=True).clamp(min=1e-8)
    return centred.abs().quantile(percentile, dim=2, keepdim=True).clamp(min=1e-8)
