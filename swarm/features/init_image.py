"""Starting from a picture instead of from pure noise (swarm-t2i 9.6)."""

from typing import Any

from swarm.features.groups import INIT_IMAGE_GROUP
from swarm.features.mask import mask_of
from swarm.jobs.stage import Stage, StageContext, stage
from swarm.media.image import Picture
from swarm.params.kinds import Decimal
from swarm.params.media_kinds import Media

INIT_IMAGE = Media(
    name="Init Image",
    description="The picture to start from. It is stretched to the size of the result.",
    group=INIT_IMAGE_GROUP,
    priority=-5.0,
)
INIT_IMAGE_CREATIVITY = Decimal(
    name="Init Image Creativity",
    description="How far the result may leave the init image: the share of steps that run. 0 keeps it, 1 ignores it.",
    default=0.6,
    min=0,
    max=1,
    step=0.05,
    examples=("0", "0.4", "0.6", "1"),
    group=INIT_IMAGE_GROUP,
    priority=-4.5,
    view_type="slider",
)
INIT_IMAGE_RESET_TO_NORM = Decimal(
    name="Init Image Reset To Norm",
    description="Blends the init image towards an empty one, which frees colours and contrast.",
    default=0.0,
    min=0,
    max=1,
    step=0.05,
    ignore_if="0",
    examples=("0", "0.2", "0.5", "1"),
    group=INIT_IMAGE_GROUP,
    priority=-4.5,
    view_type="slider",
    advanced=True,
)
INIT_IMAGE_NOISE = Decimal(
    name="Init Image Noise",
    description="Noise to add to the pixels of the init image, which asks for more new detail.",
    default=0.0,
    min=0,
    max=10,
    view_max=1,
    step=0.05,
    ignore_if="0",
    examples=("0", "0.2", "0.5", "1"),
    group=INIT_IMAGE_GROUP,
    priority=-4.2,
    view_type="slider",
    advanced=True,
)

NOISE_SEED_OFFSET = 327
"""The init image's noise comes from the picture's seed plus this (swarm-t2i 9.2)."""


@stage(Stage.START, order=20, when=INIT_IMAGE)
def start_from_image(context: StageContext) -> None:
    """Begin with the encoded picture, and skip the steps that creativity leaves out.

    Absent creativity means 1: all steps run. Creativity 0 gives the picture back, without a trip through the VAE.
    """
    picture = context.input.given(INIT_IMAGE)
    if picture is None:
        return
    creativity = context.input.given(INIT_IMAGE_CREATIVITY)
    skipped = 0 if creativity is None else round(context.steps * (1.0 - creativity))
    if creativity == 0:
        context.result = context.tools.pixels(picture, width=context.width, height=context.height)
        return
    mask = mask_of(context)
    context.latent = _encoded(context, picture, mask)
    reset = context.input.get(INIT_IMAGE_RESET_TO_NORM)
    if reset > 0:
        context.latent = context.latent * (1.0 - reset * (1.0 if mask is None else _small(mask, context.latent)))
    context.first_step = min(skipped, len(context.sigmas))
    context.sigmas = context.sigmas[context.first_step :]


def _encoded(context: StageContext, picture: Picture, mask: Any) -> Any:
    """The picture as a latent, with noise on its pixels if that is asked; only where the mask is."""
    strength = context.input.get(INIT_IMAGE_NOISE)
    image = context.tools.image(picture, width=context.width, height=context.height)
    if strength > 0:
        noised = context.tools.noisy(image, strength, context.seed + NOISE_SEED_OFFSET)
        image = noised if mask is None else image + (noised - image) * (mask >= 0.5)
    return context.tools.encode_tensor(image)


def _small(mask: Any, latent: Any) -> Any:
    from torch.nn.functional import interpolate

    return interpolate(mask, size=latent.shape[-2:], mode="bilinear").to(latent)
