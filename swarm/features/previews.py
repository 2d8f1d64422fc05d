"""Sharper previews by a tiny VAE, where `vae_approx/<name>_decoder.safetensors` is in the models folder."""

from __future__ import annotations

from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.params.input import GenerationInput

TINY_VAE = "tiny_vae"
"""The name of the file in `Job.files`."""

NAMES = {
    "stable-diffusion-v1": "taesd",
    "stable-diffusion-v2": "taesd",
    "sdxl": "taesdxl",
    "sd3": "taesd3",
    "flux1": "taef1",
}
"""Names of the published TAESD decoders by latent space."""


@need()
def tiny_vae(_input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """The tiny VAE for the model's latents, if there is one; without it previews are made by a colour matrix."""
    name = NAMES.get(model.latent_space if model is not None else "")
    found = None if name is None else files.beside(f"vae_approx/{name}_decoder.safetensors")
    return Found(parts={}, files={} if found is None else {TINY_VAE: found})
