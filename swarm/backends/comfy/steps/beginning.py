"""The latent the base walk begins with: an empty one, or the init image, as far as the mask says."""

from __future__ import annotations

from swarm.backends.comfy.building import Building, ComfyStep
from swarm.backends.comfy.graph import Link
from swarm.backends.comfy.steps.controlnets import scaled
from swarm.features.init_image import INIT_IMAGE, INIT_IMAGE_CREATIVITY
from swarm.features.inpaint import RECOMPOSITE_MASK, USE_INPAINTING_ENCODE
from swarm.features.mask import MASK_BEHAVIOR, MASK_BLUR, MASK_GROW, MASK_IMAGE
from swarm.features.resolution import HEIGHT, WIDTH

_MOST_BLUR = 31
"""What ComfyUI's node takes."""
_GROWTH = 6
"""What that node widens masks by unless it is told; the mask that is set behind it counts."""


def begin(building: Building) -> None:
    """Leaves `start`."""
    base = building.base
    assert base is not None, "the steps are out of order"
    width, height = building.get(WIDTH), building.get(HEIGHT)
    if INIT_IMAGE.id not in building.uploaded:
        building.start = building.add("EmptyLatentImage", width=width, height=height, batch_size=1)
        return
    picture = scaled(building, building.uploaded[INIT_IMAGE.id])
    mask = mask_of(building)
    if mask is None:
        building.start = building.add("VAEEncode", pixels=picture, vae=base.vae)
    elif building.get(USE_INPAINTING_ENCODE):
        latent = building.add("VAEEncodeForInpaint", pixels=picture, vae=base.vae, mask=mask, grow_mask_by=_GROWTH)
        building.start = building.add("SetLatentNoiseMask", samples=latent, mask=mask)
    else:
        latent = building.add("VAEEncode", pixels=picture, vae=base.vae)
        building.start = building.add("SetLatentNoiseMask", samples=latent, mask=mask)
    if mask is not None and building.get(MASK_BEHAVIOR) == "Differential":
        changed = building.add("DifferentialDiffusion", model=base.model)
        building.base = type(base)(model=changed, clip=base.clip, vae=base.vae)


def mask_of(building: Building) -> Link | None:
    """The mask at the picture's size, grown and softened as asked; None without one."""
    if MASK_IMAGE.id not in building.uploaded:
        return None
    mask = building.add("ImageToMask", image=scaled(building, building.uploaded[MASK_IMAGE.id]), channel="red")
    if grow := building.get(MASK_GROW):
        mask = building.add("GrowMask", mask=mask, expand=(grow + 1) // 2, tapered_corners=False)
    if blur := building.given(MASK_BLUR):
        image = building.add("MaskToImage", mask=mask)
        image = building.add("ImageBlur", image=image, blur_radius=min(blur, _MOST_BLUR), sigma=1.0)
        mask = building.add("ImageToMask", image=image, channel="red")
    return mask


BEGIN = ComfyStep(
    id="begin",
    order=40,
    run=begin,
    params=(
        INIT_IMAGE, INIT_IMAGE_CREATIVITY, MASK_IMAGE, MASK_GROW, MASK_BEHAVIOR, USE_INPAINTING_ENCODE,
        RECOMPOSITE_MASK, MASK_BLUR,
    ),
)  # fmt: skip
