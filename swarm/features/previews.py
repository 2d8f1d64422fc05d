"""Sharper previews by a tiny decoder, where one for the model's latents is in `vae_approx` in the models folder."""

from __future__ import annotations

from swarm.features.image_to_video import VIDEO_MODEL
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.params.input import GenerationInput

TINY_VAE, TINY_VIDEO_VAE = "tiny_vae", "tiny_video_vae"
"""The names of the files in `Job.files`: for the model, and for the video model."""

_WAN_21 = ("lighttaew2_1", "taew2_1")
NAMES: dict[str, tuple[str, ...]] = {
    "stable-diffusion-v1": ("taesd_decoder",),
    "stable-diffusion-v2": ("taesd_decoder",),
    "sdxl": ("taesdxl_decoder",),
    "sd3": ("taesd3_decoder",),
    "flux1": ("taef1_decoder",),
    "flux2": ("taef2_decoder", "taef2"),
    "qwenimage": _WAN_21,
    "wan-21-1_3b": _WAN_21,
    "wan-21-14b": _WAN_21,
    "wan-22-5b": ("lighttaew2_2", "taew2_2"),
    "hunyuan-video": ("taehv",),
    "hunyuan-video-1_5": ("lighttaehy1_5",),
}
"""Names of the published tiny decoders by latent space, those that are preferred first."""

_BARE = "lighttaew"
"""Decoders so called read latents as the VAE makes them; all others, those of models."""


def reads_bare(file: ModelFile) -> bool:
    """Whether a tiny decoder reads latents in the scale of the VAE itself. Its tensors do not tell."""
    return file.path.name.startswith(_BARE)


@need()
def tiny_vae(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """The tiny decoders for the models' latents, if there are; without one previews are made by a colour matrix."""
    video = files.find("Stable-Diffusion", input.get(VIDEO_MODEL)) if input.has(VIDEO_MODEL) else None
    wanted = {TINY_VAE: model, TINY_VIDEO_VAE: video}
    found = {name: _decoder(each, files) for name, each in wanted.items() if each is not None}
    return Found(parts={}, files={name: file for name, file in found.items() if file is not None})


def _decoder(model: ModelFile, files: Files) -> ModelFile | None:
    names = NAMES.get(model.latent_space, ())
    found = (files.beside(f"vae_approx/{name}.safetensors") for name in names)
    return next((file for file in found if file is not None), None)
