"""Pictures to look at while training goes on, and the plain sampler that also proves the finished model."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from tools.starter_model.architecture import LATENT, SCALING_FACTOR, SCHEDULER_CONFIG, TOKENS
from tools.starter_model.model import Model
from tools.starter_model.progress import Average
from tools.starter_model.stage_vae import to_pixels
from tools.starter_model.words import Words

PROMPTS = (
    "a red house on a meadow by day, under the sun",
    "night, blue cottage, in the snow, a full moon",
    "a white sailing boat on the sea at sunset",
    "a green boat on the sea at night under a crescent moon",
    "two yellow houses in the hills, cloudy",
    "a pink balloon above snowy mountains by day",
    "a purple house on the beach at sunset in the rain",
    "a lighthouse on the left and a sailboat on the right, at sea, by day",
    "three pines in the mountains in the snow",
    "a cat on a meadow with flowers at sunset",
    "an orange car in the desert by day",
    "a windmill on the right, in the hills, at night with stars",
)

Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From noisy latents, the moment and encoded prompts to the noise it believes to see."""


def make_solver() -> DPMSolverMultistepScheduler:
    """DPM-Solver++ 2M on Karras sigmas: what the evaluation uses."""
    return DPMSolverMultistepScheduler.from_config(SCHEDULER_CONFIG, use_karras_sigmas=True)


@torch.no_grad()
def sample(
    unet: Denoiser, words: Tensor, silence: Tensor, noise: Tensor, *,
    steps: int = 20, guidance: float = 5.0,
) -> Tensor:  # fmt: skip
    """Scaled latents from noise, guided away from silence. `words` and `silence` are encoded prompts."""
    solver = make_solver()
    solver.set_timesteps(steps)
    latents = noise * solver.init_noise_sigma
    both = torch.cat([silence, words])
    for moment in solver.timesteps:
        given = solver.scale_model_input(torch.cat([latents, latents]), moment)
        without, told = unet(given, moment, both).float().chunk(2)
        latents = solver.step(without + guidance * (told - without), moment, latents).prev_sample
    return latents


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: Tensor) -> np.ndarray:
    """Bytes, channels last, from scaled latents."""
    return to_pixels(vae.decode(latents / SCALING_FACTOR).sample)


@torch.no_grad()
def encode_prompts(text: CLIPTextModel, tokenizer: CLIPTokenizer, prompts: Sequence[str]) -> Tensor:
    """What the denoiser is told: 77 vectors per prompt."""
    given = tokenizer(list(prompts), padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt")
    return text(given.input_ids).last_hidden_state


def seeded_noise(seeds: Sequence[int]) -> Tensor:
    """One starting point per seed, the same whatever the batch."""
    shape = (1, 4, LATENT, LATENT)
    return torch.cat([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def sheet(pictures: Sequence[np.ndarray], columns: int) -> Image.Image:
    """Pictures side by side."""
    rows = [np.concatenate(list(pictures[at : at + columns]), axis=1) for at in range(0, len(pictures), columns)]
    return Image.fromarray(np.concatenate(rows))


@torch.no_grad()
def write_samples(folder: Path, model: Model, average: Average, words: Words) -> None:
    """Draw the fixed prompts with the averaged weights into `samples.jpg`."""
    from tools.starter_model.stage_vae import trained_vae

    vae = trained_vae(folder)
    average.swap()
    with torch.autocast("cpu", torch.bfloat16):
        encoded = model.text(words.numbers(PROMPTS)).last_hidden_state
        silence = model.text(words.numbers([""] * len(PROMPTS))).last_hidden_state
        noise = seeded_noise(range(len(PROMPTS)))
        latents = sample(lambda x, t, e: model.unet(x, t, e).sample, encoded, silence, noise)
        pictures = decode(vae, latents)
    average.swap()
    sheet(list(pictures), 4).save(folder / "samples.jpg", quality=90)
