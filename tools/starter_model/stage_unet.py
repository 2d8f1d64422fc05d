"""Third stage: the denoiser and the text encoder learn together to draw what a caption says."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from torch import Tensor

from tools.starter_model.architecture import SCHEDULER_CONFIG
from tools.starter_model.captions import caption
from tools.starter_model.dataset import scene_at
from tools.starter_model.model import Model
from tools.starter_model.progress import Average, Budget, load, pace, save, say
from tools.starter_model.samples import write_samples
from tools.starter_model.stage_latents import read_latents
from tools.starter_model.words import Words, with_strangers

PEAK = 5e-4
BATCH = 32
DROPPED = 0.1
SAVE_EVERY = 300


@dataclass(kw_only=True)
class Lessons:
    """Batches of latents with fresh captions. Looks for newly written latents from time to time."""

    folder: Path
    seed: int
    words: Words
    rng: random.Random
    latents: Tensor

    def look_again(self) -> None:
        """Take in the latents that were written since."""
        self.latents = read_latents(self.folder)

    def next(self) -> tuple[Tensor, Tensor]:
        """Latents and the tokens of one way to describe each, a tenth of them described by nothing."""
        indices = [self.rng.randrange(len(self.latents)) for _ in range(BATCH)]
        texts = [self._text(index) for index in indices]
        return self.latents[indices].float(), with_strangers(self.words.numbers(texts), self.rng)

    def _text(self, index: int) -> str:
        return "" if self.rng.random() < DROPPED else caption(scene_at(self.seed, index), self.rng)


class Noise:
    """Stable Diffusion's noise schedule, sampled more often where there is something to learn."""

    def __init__(self) -> None:
        """The chance of a moment follows its min-SNR weight (https://arxiv.org/abs/2303.09556), but never vanishes."""
        self.kept = DDPMScheduler.from_config(SCHEDULER_CONFIG).alphas_cumprod
        ratio = self.kept / (1 - self.kept)
        self._chances = (ratio.clamp(max=5) / ratio).clamp(min=0.2)
        self._weights = ratio.rsqrt().clamp(1, 6)

    def add(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy latents, the moments chosen, and the noise that was added."""
        moments = torch.multinomial(self._chances, len(latents), replacement=True)
        kept = self.kept[moments][:, None, None, None]
        noise = torch.randn_like(latents)
        return kept.sqrt() * latents + (1 - kept).sqrt() * noise, moments, noise

    def loss(self, guess: Tensor, added: Tensor, moments: Tensor) -> Tensor:
        """The squared error, counted more the stronger the noise.

        Hour and land are settled while noise prevails, where a wrong idea of the picture hardly shows in the noise.
        """
        errors = F.mse_loss(guess.float(), added, reduction="none").mean(dim=(1, 2, 3))
        return (errors * self._weights[moments]).mean()


def train_unet(folder: Path, *, seed: int, budget: Budget) -> None:
    """Train to the end of the budget, going on from an earlier checkpoint if there is one."""
    torch.manual_seed(seed)
    words = Words.of_captions(folder / "words.txt", seed)
    model = Model(len(words))
    average = Average(model, 0.999)
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    step = _resume(folder, model, average, optimiser, budget)
    torch.manual_seed(seed + step)
    rng = random.Random(f"{seed}/{step}")
    lessons = Lessons(folder=folder, seed=seed, words=words, rng=rng, latents=read_latents(folder))
    noise = Noise()
    losses: list[float] = []
    while (progress := budget.progress(step)) < 1:
        optimiser.param_groups[0]["lr"] = pace(step, progress, peak=PEAK)
        losses.append(_learn(model, optimiser, lessons, noise))
        average.update(step)
        step += 1
        if step % 50 == 0:
            say(f"unet step {step} {progress:.1%} loss {sum(losses[-50:]) / 50:.4f} of {len(lessons.latents)} scenes")
        if step % SAVE_EVERY == 0:
            _keep(folder, model, average, optimiser, budget, step)
            lessons.look_again()
        if step % (SAVE_EVERY * 2) == 0:
            write_samples(folder, model, average, words)
    _keep(folder, model, average, optimiser, budget, step)


def trained_model(folder: Path, words: Words) -> Model:
    """The averaged networks of the latest checkpoint."""
    state = load(folder / "unet.pt")
    if state is None:
        raise FileNotFoundError("train the denoiser first: --stage unet")
    model = Model(len(words))
    for parameter, value in zip(model.parameters(), state["average"], strict=True):
        parameter.data.copy_(value)
    return model.eval()


def _learn(model: Model, optimiser: torch.optim.Optimizer, lessons: Lessons, noise: Noise) -> float:
    latents, tokens = lessons.next()
    noisy, moments, added = noise.add(latents)
    with torch.autocast("cpu", torch.bfloat16):
        guess = model(noisy, moments, tokens)
    loss = noise.loss(guess, added, moments)
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return float(loss.item())


def _resume(folder: Path, model: Model, average: Average, optimiser: torch.optim.Optimizer, budget: Budget) -> int:
    state = load(folder / "unet.pt")
    if state is None:
        return 0
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    average.values = state["average"]
    budget.spent = state["seconds"]
    return int(state["step"])


def _keep(
    folder: Path, model: Model, average: Average, optimiser: torch.optim.Optimizer, budget: Budget, step: int
) -> None:
    state: dict[str, Any] = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "average": average.values,
        "seconds": budget.seconds,
        "step": step,
    }
    save(folder / "unet.pt", state)
