"""Stage functions declare where they act and what switches them on."""

from __future__ import annotations

import swarm.features
from swarm.base.registry import collect
from swarm.features.core import STEPS
from swarm.jobs.stage import Stage, StageContext, StageFunction, stage


def test_the_decorator_makes_a_declared_value() -> None:
    @stage(Stage.GUIDE, order=5, when=STEPS)
    def soften(context: StageContext) -> None:
        context.denoised = None

    assert isinstance(soften, StageFunction)
    assert (soften.id, soften.stage, soften.order, soften.when) == ("guide.soften", Stage.GUIDE, 5, STEPS)


def test_the_features_stages_are_found() -> None:
    found = collect(swarm.features, StageFunction)
    assert {"start.start_from_image", "start.end_early", "encode.zero_negative", "guide.rescale_guidance"} <= set(found)
