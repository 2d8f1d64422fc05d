"""Unsampling: the init image is walked back to the noise a prompt would have made it of (swarm-t2i 9.6).

The walk of the request then begins with that noise and adds none, so what the two prompts have in common stays.
"""

from __future__ import annotations

from dataclasses import replace

from swarm.features.core import CFG_SCALE, PROMPT, STEPS
from swarm.features.groups import INIT_IMAGE_GROUP
from swarm.features.init_image import INIT_IMAGE, INIT_IMAGE_CREATIVITY
from swarm.features.redraw import without_controls
from swarm.features.sampling import END_STEPS_EARLY
from swarm.jobs.acts import Asking, Making, Sample, act
from swarm.jobs.stage import Pass, Stage, StageContext, stage
from swarm.media.image import Pixels
from swarm.params.input import GenerationInput
from swarm.params.kinds import Text

UNSAMPLER_PROMPT = Text(
    name="Unsampler Prompt",
    description="What the init image shows. It is walked back to noise by these words, instead of getting random "
    "noise; the prompt then changes what it says otherwise.",
    group=INIT_IMAGE_GROUP,
    priority=-3.0,
    view_type="prompt",
    advanced=True,
    toggleable=True,
    edits=True,
)


def _steps(input: GenerationInput) -> int:
    """How many steps lead back: as many as will lead forth."""
    creativity = input.given(INIT_IMAGE_CREATIVITY)
    if input.given(INIT_IMAGE) is None or creativity == 0:
        return 0
    steps = input.get(STEPS)
    return steps if creativity is None else steps - round(steps * (1.0 - creativity))


@act(order=50, when=UNSAMPLER_PROMPT, steps=_steps, opens=True)
def unsample(making: Making) -> Asking:
    """The base walk, made to begin with what the walk back ends with."""
    base = making.base
    if _steps(base.input) <= 0:
        return
    answer = yield Sample(of=unsampling_pass(base))
    assert not isinstance(answer, Pixels), "a walk of at least one step is answered by a latent"
    making.base = replace(base, latent=answer, adds_noise=False)


def unsampling_pass(base: Pass) -> Pass:
    """The walk back: the whole of the request's schedule that the init image skips none of, unguided."""
    words = base.input.get(UNSAMPLER_PROMPT)
    input = without_controls(base.input).without(END_STEPS_EARLY).having(PROMPT, words).having(CFG_SCALE, 1.0)
    return replace(
        base, input=input, last_step=None, leaves_noise=False, adds_noise=False, climbs=True, name="unsampler"
    )


@stage(Stage.START, order=40, when=UNSAMPLER_PROMPT)
def start_unsampled(context: StageContext) -> None:
    """Begin with the walked-back latent; the init image's own stage has put the clean one there."""
    of = context.of
    if of.name == "base" and of.latent is not None and not of.adds_noise and context.input.has(INIT_IMAGE):
        context.latent = of.latent
