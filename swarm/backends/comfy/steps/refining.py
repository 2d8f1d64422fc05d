"""The refine stage: enlarging by pixels, latents or a model, then the last steps again with its own settings."""

from __future__ import annotations

from swarm.backends.comfy.building import Building, ComfyStep, Loaded, need
from swarm.backends.comfy.graph import Link
from swarm.backends.comfy.steps.models import loaded_model, vae_of, with_loras
from swarm.backends.comfy.steps.patches import patched
from swarm.backends.comfy.steps.sampling import LAST_STEP, solving
from swarm.backends.comfy.steps.words import encoded, guided
from swarm.base.errors import BackendError
from swarm.features.core import NEGATIVE_PROMPT, PROMPT
from swarm.features.refiner import (
    REFINER_CFG_SCALE,
    REFINER_CONTROL,
    REFINER_METHOD,
    REFINER_MODEL,
    REFINER_SAMPLER,
    REFINER_SCHEDULER,
    REFINER_STEPS,
    REFINER_UPSCALE,
    REFINER_UPSCALE_METHOD,
    REFINER_VAE,
    SECTIONS,
    begins_at,
    control,
    method_of,
    refiner_input,
    refiner_steps,
    upscaled,
)
from swarm.features.resolution import HEIGHT, WIDTH


def refine(building: Building) -> None:
    """Leaves another `latent`, or an `image` where nothing is walked again."""
    input = building.job.input
    share, factor = control(input), building.get(REFINER_UPSCALE)
    if share is None or (share <= 0 and factor == 1.0):
        return
    kind, _, name = building.get(REFINER_UPSCALE_METHOD).partition("-")
    width, height = upscaled(building.get(WIDTH), input), upscaled(building.get(HEIGHT), input)
    loaded = _loaded(building)
    latent = need(building.latent)
    if factor != 1.0 and kind == "latent":
        latent = building.add("LatentUpscaleBy", samples=latent, upscale_method=name, scale_by=factor)
    elif factor != 1.0 or _moves(building):
        image = building.add("VAEDecode", samples=latent, vae=need(building.vae))
        if factor != 1.0:
            image = _enlarged(building, image, kind, name, width, height)
        if share <= 0:
            building.image = image
            return
        latent = building.add("VAEEncode", pixels=image, vae=loaded.vae)
    if share > 0:
        latent = _walked(building, loaded, latent, share, (width, height))
    building.latent, building.vae = latent, loaded.vae


def _moves(building: Building) -> bool:
    """Whether the refine stage understands other latents than the base walk."""
    model, other = building.job.model, building.job.files.get(REFINER_MODEL.id)
    apart = model is not None and other is not None and other.latent_space != model.latent_space
    return apart or building.job.input.has(REFINER_VAE)


def _loaded(building: Building) -> Loaded:
    """The refine stage's model, with the LoRAs that act in it."""
    model = building.job.files.get(REFINER_MODEL.id) or building.job.model
    assert model is not None, "a job without a model is not begun"
    loaded = loaded_model(building, model)
    vae = building.job.files.get(REFINER_VAE.id)
    shares = not _moves(building) and building.base is not None
    if vae is not None:
        loaded = Loaded(model=loaded.model, clip=loaded.clip, vae=vae_of(building, vae))
    elif shares:
        loaded = Loaded(model=loaded.model, clip=loaded.clip, vae=need(building.vae))
    return patched(building, with_loras(building, loaded, building.loras(*SECTIONS)), stage="Refiner")


def _enlarged(building: Building, image: Link, kind: str, name: str, width: int, height: int) -> Link:
    if kind == "model":
        net = building.add("UpscaleModelLoader", model_name=name)
        image = building.add("ImageUpscaleWithModel", upscale_model=net, image=image)
        name = "lanczos"
    elif kind != "pixel":
        raise BackendError(f"This backend cannot enlarge by '{kind}-{name}'.")
    return building.add("ImageScale", image=image, upscale_method=name, width=width, height=height, crop="disabled")


def _walked(building: Building, loaded: Loaded, latent: Link, share: float, size: tuple[int, int]) -> Link:
    input = building.job.input
    steps = refiner_steps(input)
    asked = refiner_input(input, steps, *size)
    is_noisy = method_of(input) == "StepSwapNoisy"
    return building.add(
        "KSamplerAdvanced",
        model=loaded.model,
        positive=guided(building, encoded(building, loaded.clip, asked.get(PROMPT))),
        negative=encoded(building, loaded.clip, asked.get(NEGATIVE_PROMPT)),
        latent_image=latent,
        noise_seed=building.seed + 1,
        add_noise="disable" if is_noisy else "enable",
        start_at_step=begins_at(steps, share),
        end_at_step=LAST_STEP,
        return_with_leftover_noise="disable",
        **solving(building, asked, steps, building.job.files.get(REFINER_MODEL.id, building.job.model)),
    )


REFINE = ComfyStep(
    id="refine",
    order=60,
    run=refine,
    per_picture=True,
    params=(
        REFINER_CONTROL, REFINER_METHOD, REFINER_UPSCALE, REFINER_UPSCALE_METHOD, REFINER_MODEL, REFINER_VAE,
        REFINER_STEPS, REFINER_CFG_SCALE, REFINER_SAMPLER, REFINER_SCHEDULER,
    ),
    features=("refiners",),
    nodes=("ImageScale", "VAEEncode"),
)  # fmt: skip
