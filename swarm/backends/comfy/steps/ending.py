"""From the latent to a picture that can be fetched."""

from __future__ import annotations

from swarm.backends.comfy.building import Building, ComfyStep, need
from swarm.backends.comfy.graph import Link
from swarm.backends.comfy.steps.beginning import mask_of
from swarm.backends.comfy.steps.controlnets import scaled
from swarm.features.init_image import INIT_IMAGE
from swarm.features.inpaint import RECOMPOSITE_MASK
from swarm.features.refiner import REFINER_UPSCALE
from swarm.features.vae import VAE_TILE_OVERLAP, VAE_TILE_SIZE


def end(building: Building) -> None:
    """Leaves the node that holds the picture in `outputs`."""
    image = building.image or _decoded(building)
    building.image = None
    mask = mask_of(building)
    if mask is not None and building.get(RECOMPOSITE_MASK) and building.get(REFINER_UPSCALE) == 1.0:
        original = scaled(building, building.uploaded[INIT_IMAGE.id])
        image = building.add(
            "ImageCompositeMasked", destination=original, source=image, x=0, y=0, resize_source=False, mask=mask
        )
    saved(building, image)


def saved(building: Building, image: Link) -> None:
    """Have a picture kept where it can be fetched, for the time being if the server offers that."""
    graph = building.graph
    if "PreviewImage" in building.info.nodes:
        building.outputs.append(graph.add("PreviewImage", images=image))
    else:
        building.outputs.append(graph.add("SaveImage", images=image, filename_prefix="Swarm"))


def _decoded(building: Building) -> Link:
    samples, vae = need(building.latent), need(building.vae)
    tile = building.given(VAE_TILE_SIZE)
    if tile is None:
        return building.add("VAEDecode", samples=samples, vae=vae)
    overlap = building.get(VAE_TILE_OVERLAP)
    return building.add(
        "VAEDecodeTiled",
        samples=samples,
        vae=vae,
        tile_size=tile,
        overlap=overlap,
        temporal_size=64,
        temporal_overlap=8,
    )


END = ComfyStep(id="end", order=90, run=end, per_picture=True, params=(VAE_TILE_SIZE, VAE_TILE_OVERLAP))
