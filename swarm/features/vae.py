"""Which VAE turns latents into pixels, and whether it works in tiles (swarm-t2i 9.4)."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from swarm.access.permissions import MODEL_PARAMS
from swarm.features.groups import ADVANCED_MODEL_ADDONS_GROUP, ADVANCED_SAMPLING_GROUP
from swarm.jobs.stage import Pass, Patch, Patched
from swarm.params.input import GenerationInput
from swarm.params.kinds import Boolean, Integer, Model

AUTOMATIC = "Automatic"
VAE = Model(
    name="VAE",
    description="The VAE to use instead of the one in the model. Automatic takes what your settings name for the "
    "model's family.",
    default="None",
    others=(AUTOMATIC, "None"),
    ignore_if="None",
    subtype="VAE",
    slot="vae",
    group=ADVANCED_MODEL_ADDONS_GROUP,
    permission=MODEL_PARAMS,
    advanced=True,
    toggleable=True,
)
AUTOMATIC_VAE = Boolean(
    name="Automatic VAE",
    description="Where no VAE is chosen: the one that your settings name for the model's family, if any.",
    ignore_if="false",
    group=ADVANCED_MODEL_ADDONS_GROUP,
    permission=MODEL_PARAMS,
    visible=False,
    advanced=True,
    toggleable=True,
    nonreusable=True,
)
VAE_TILE_SIZE = Integer(
    name="VAE Tile Size",
    description="Decodes in tiles of this many pixels, which takes less memory.",
    default=256,
    min=128,
    max=4096,
    step=32,
    group=ADVANCED_SAMPLING_GROUP,
    priority=-5.0,
    advanced=True,
    toggleable=True,
)
VAE_TILE_OVERLAP = Integer(
    name="VAE Tile Overlap",
    description="How far the tiles overlap, in pixels.",
    default=64,
    min=0,
    max=4096,
    step=32,
    group=ADVANCED_SAMPLING_GROUP,
    priority=-4.8,
    advanced=True,
    toggleable=True,
    depends_on="vaetilesize",
)


def wants_default_vae(input: GenerationInput) -> bool:
    """Whether the request leaves the choice to the user's settings."""
    return input.given(VAE) == AUTOMATIC or (not input.has(VAE) and input.get(AUTOMATIC_VAE))


def _key(of: Pass) -> Hashable:
    return of.input.get(VAE_TILE_SIZE), of.input.get(VAE_TILE_OVERLAP)


def _apply(modules: Patched, key: tuple[int, int]) -> Callable[[], None]:
    tile, overlap = key
    modules.tiles(tile, overlap)
    return modules.untile


VAE_TILES = Patch(id="vae_tiles", order=90, when=VAE_TILE_SIZE, key=_key, apply=_apply)
