"""Models that draw along a picture of depths or edges, which is given to them as the init image."""

from __future__ import annotations

from swarm.features.init_image import INIT_IMAGE
from swarm.jobs.stage import Stage, StageContext, stage


@stage(Stage.START, order=35, when=INIT_IMAGE)
def lead_by_the_image(context: StageContext) -> None:
    """The model sees the init image beside what it draws, and draws all of it from nothing; masks do not count."""
    if not context.tools.is_led or context.result is not None or context.input.given(INIT_IMAGE) is None:
        return
    for name in ("latent_mask", "kept"):
        context.memory.pop(name, None)
    context.concat = context.latent
    context.latent = context.latent * 0
