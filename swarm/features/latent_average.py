"""Beginning from the average latent of many pictures instead of from zeros (swarm-t2i 9.4)."""

from __future__ import annotations

from swarm.features.groups import ADVANCED_SAMPLING_GROUP
from swarm.jobs.stage import Stage, StageContext, stage
from swarm.params.kinds import Boolean

SHIFTED_LATENT_AVERAGE_INIT = Boolean(
    name="Shifted Latent Average Init",
    description="Begins from the average picture of the model's kind, not from nothing.",
    ignore_if="false",
    group=ADVANCED_SAMPLING_GROUP,
    flags=("comfyui",),
    advanced=True,
)

_SD = (2.1335, 0.1237, 0.4052, -0.0940)
_SDXL = (-2.8982, -0.9609, 0.2416, -0.3074)
AVERAGES = {"stable-diffusion-v1": _SD, "stable-diffusion-v2": _SD, "stable-diffusion-xl-v1": _SDXL}
"""Mean of each latent channel in the VAE's own scale, by compat class."""


@stage(Stage.START, order=5, when=SHIFTED_LATENT_AVERAGE_INIT)
def start_from_the_average(context: StageContext) -> None:
    averages = AVERAGES.get(context.tools.family)
    wanted = context.input.get(SHIFTED_LATENT_AVERAGE_INIT)
    if not wanted or averages is None or context.of.latent is not None or context.latent.shape[1] != len(averages):
        return
    import torch

    known = context.tools.architecture.latent
    scaled = torch.tensor(averages) * (known.scale if known else 1.0)
    context.latent = scaled.view(1, -1, 1, 1).expand_as(context.latent).clone()
