"""Starting from a picture instead of from pure noise (swarm-t2i 9.6)."""

from typing import Any

from swarm.features.groups import INIT_IMAGE_GROUP
from swarm.features.mask import mask_of
from swarm.features.mask_images import spread
from swarm.jobs.stage import Stage, StageContext, stage
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
"""The init image's noise comes from this plus the seed, for all pictures of a job the first one's (swarm-t2i 9.2)."""


@stage(Stage.START, order=20, when=INIT_IMAGE)
def start_from_image(context: StageContext) -> None:
    """Begin with the encoded picture, and skip the steps that creativity leaves out.

    Absent creativity means 1: all steps run. Creativity 0 gives the picture back; without a mask that is without a trip
    through the VAE.
    """
    picture = context.input.given(INIT_IMAGE)
    if picture is None:
        return
    creativity = context.input.given(INIT_IMAGE_CREATIVITY)
    skipped = 0 if creativity is None else round(context.steps * (1.0 - creativity))
    mask = mask_of(context)
    if creativity == 0 and mask is None:
        context.result = context.tools.pixels(picture, width=context.width, height=context.height)
        return
    image = context.tools.image(picture, width=context.width, height=context.height)
    image = noised(image, context.input.get(INIT_IMAGE_NOISE), context.of.first_seed + NOISE_SEED_OFFSET, mask)
    empty, context.latent = context.latent, context.tools.encode_tensor(image)
    _reset(context, empty, mask)
    context.first_step = min(skipped, len(context.sigmas))
    context.sigmas = context.sigmas[context.first_step :]


def noised(image: Any, strength: float, seed: int, mask: Any = None) -> Any:
    """An image with normal noise of `strength` on its pixels, drawn from `seed`; with a mask (1, 1, H, W) where that is
    more than half, the more the stronger."""
    if strength <= 0:
        return image
    import torch

    generator = torch.Generator("cpu").manual_seed(seed % 2**63)
    # Drawn with the channels last, as pictures lie in memory.
    drawn = torch.randn(image.permute(0, 2, 3, 1).shape, generator=generator).permute(0, 3, 1, 2) * strength
    return (image + (drawn if mask is None else drawn * spread(mask, 0.5, 1.0))).clamp(0, 1)


def _reset(context: StageContext, empty: Any, mask: Any) -> None:
    """The latent blended towards `empty`, which is what an empty picture begins with; within the mask."""
    share: Any = context.input.get(INIT_IMAGE_RESET_TO_NORM)
    if share <= 0:
        return
    from torch.nn.functional import interpolate

    if mask is not None:
        share = (interpolate(mask, size=context.latent.shape[-2:], mode="bicubic") * share).to(context.latent)
    known = context.tools.architecture.latent
    nothing = empty.to(context.latent) - (known.shift * known.scale if known else 0.0)
    context.latent = context.latent * (1.0 - share) + nothing * share
