"""The VAE that a user's settings name for a model's family, where the request leaves the choice to them (9.4), and for
models that come without one."""

from __future__ import annotations

from swarm.architectures.companions import VAES
from swarm.base.errors import BadInput
from swarm.catalog.catalog import Catalog
from swarm.catalog.model import ModelEntry
from swarm.features.vae import VAE, wants_default_vae
from swarm.generation.files import CatalogFiles
from swarm.params.input import GenerationInput
from swarm.settings.user import VaeSettings

_BUILT_IN = ("", "None")


def default_vae(
    input: GenerationInput, model: ModelEntry, settings: VaeSettings, catalog: Catalog
) -> ModelEntry | None:
    """The VAE for `model`; None for the one in it. Raises BadInput when the one that is set is gone."""
    if model.architecture is None or (input.has(VAE) and not wants_default_vae(input)):
        return None
    family = model.architecture.compat
    name = _by_family(settings).get(family.vae_family or family.id, "None")
    if name in _BUILT_IN or not (wants_default_vae(input) or _lacks_one(model, catalog)):
        return None
    entry = catalog.find("VAE", name)
    if entry is None:
        raise BadInput(
            f"The VAE '{name}', which your settings name for {model.architecture.name}, is no longer there. "
            "Choose another in the user settings, or None."
        )
    return entry


def _lacks_one(model: ModelEntry, catalog: Catalog) -> bool:
    """Whether the model is a file of a denoiser alone."""
    family = model.architecture.compat if model.architecture is not None else None
    companion = VAES.get((family.vae_family or family.id) if family is not None else "")
    if companion is None or model.is_folder or model.is_remote:
        return False
    return not CatalogFiles(catalog).holds(catalog.model_file(model), *companion.inside)


def _by_family(settings: VaeSettings) -> dict[str, str]:
    """By the VAE family of a compat class, or its id where it has none."""
    return {
        "stable-diffusion-v1": settings.default_sdv1_vae,
        "sdxl": settings.default_sdxl_vae,
        "stable-video-diffusion-img2vid-v1": settings.default_svd_vae,
        "flux1": settings.default_flux_vae,
        "flux2": settings.default_flux2_vae,
        "sd3": settings.default_sd3_vae,
        "genmo-mochi-1": settings.default_mochi_vae,
        "qwenimage": settings.default_qwen_vae,
    }
