"""Second stage: the decoder learns to draw a whole picture from its thumbnail. The encoder is written by hand."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from tools.starter_model.architecture import LATENT, SCALING_FACTOR, make_vae
from tools.starter_model.by_hand import draft_decoder, write_encoder
from tools.starter_model.dataset import cached_pictures
from tools.starter_model.progress import Average, Budget, load, pace, save, say
from tools.starter_model.stage_latents import rounding_of
from tools.starter_model.thumbnail import PATCH, thumbnails

PEAK = 3e-4
CACHED = 4500
SAVE_EVERY = 300
SHEET = (4490, 4491, 4492, 4493, 4494, 4495, 4496, 4497)
"""Pictures that are kept for looking at, and not trained on."""


@dataclass(kw_only=True)
class Batches:
    """Thumbnails, a little noisy as the denoiser's will be, and the pictures they belong to."""

    pictures: np.ndarray
    latents: Tensor
    rng: np.random.Generator

    def next(self, progress: float) -> tuple[Tensor, Tensor]:
        """Crops for the first part of training, whole pictures for the rest."""
        size, count = (8, 4) if progress < 0.6 else (LATENT, 2)
        latents, pictures = [], []
        for index in self.rng.integers(SHEET[0], size=count):
            top, left = self.rng.integers(LATENT - size + 1, size=2)
            latents.append(self.latents[index, :, top : top + size, left : left + size])
            down, across = slice(top * PATCH, (top + size) * PATCH), slice(left * PATCH, (left + size) * PATCH)
            pictures.append(self.pictures[index, down, across])
        clean = torch.stack(latents)
        noise = torch.randn_like(clean) * torch.from_numpy(self.rng.uniform(0, 0.12, (count, 1, 1, 1))).float()
        return clean + noise, to_tensor(np.stack(pictures))


def to_tensor(pixels: np.ndarray) -> Tensor:
    """Bytes, channels last, to −1…1, channels first."""
    return torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_pixels(pictures: Tensor) -> np.ndarray:
    """The way back, for looking at."""
    return pictures.float().clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).numpy()


def train_vae(folder: Path, *, seed: int, budget: Budget) -> None:
    """Train to the end of the budget, going on from an earlier checkpoint if there is one."""
    torch.manual_seed(seed)
    vae = _untrained(folder)
    vae.encoder.requires_grad_(False)
    average = Average(vae.decoder, 0.998)
    optimiser = torch.optim.AdamW(vae.decoder.parameters(), lr=PEAK, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    step = _resume(folder, vae, average, optimiser, budget)
    pictures = cached_pictures(folder / "pictures.npy", seed, CACHED)
    latents = _latents_of(folder, pictures)
    batches = Batches(pictures=pictures, latents=latents, rng=np.random.default_rng([seed, step]))
    losses: list[float] = []
    while (progress := budget.progress(step)) < 1:
        optimiser.param_groups[0]["lr"] = pace(step, progress, peak=PEAK)
        losses.append(_learn(vae, optimiser, *batches.next(progress)))
        average.update(step)
        step += 1
        if step % 50 == 0:
            say(f"vae step {step} {progress:.1%} loss {sum(losses[-50:]) / 50:.4f}")
        if step % SAVE_EVERY == 0 or step == 100:
            _keep(folder, vae, average, optimiser, budget, step)
            _sheet(folder, vae, average, pictures, latents)
    _keep(folder, vae, average, optimiser, budget, step)


def trained_vae(folder: Path) -> AutoencoderKL:
    """The autoencoder with the averaged decoder of the latest checkpoint."""
    state = load(folder / "vae.pt")
    vae = _untrained(folder)
    if state is not None:
        for parameter, value in zip(vae.decoder.parameters(), state["average"], strict=True):
            parameter.data.copy_(value)
    return vae.eval()


def _untrained(folder: Path) -> AutoencoderKL:
    vae = make_vae()
    write_encoder(vae, rounding_of(folder))
    draft_decoder(vae)
    return vae


def _latents_of(folder: Path, pictures: np.ndarray) -> Tensor:
    rounding = rounding_of(folder)
    return torch.cat([rounding(thumbnails(pictures[start : start + 100])) for start in range(0, len(pictures), 100)])


def _learn(vae: AutoencoderKL, optimiser: torch.optim.Optimizer, latents: Tensor, pictures: Tensor) -> float:
    with torch.autocast("cpu", torch.bfloat16):
        drawn = vae.decode(latents / SCALING_FACTOR).sample
    error = drawn.float() - pictures
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    loss = error.abs().mean() + F.mse_loss(drawn.float(), pictures) + 0.5 * edges
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(vae.decoder.parameters(), 1.0)
    optimiser.step()
    return float(loss.item())


def _resume(
    folder: Path, vae: AutoencoderKL, average: Average, optimiser: torch.optim.Optimizer, budget: Budget
) -> int:
    state = load(folder / "vae.pt")
    if state is None:
        return 0
    vae.decoder.load_state_dict(state["decoder"])
    optimiser.load_state_dict(state["optimiser"])
    average.values = state["average"]
    budget.spent = state["seconds"]
    return int(state["step"])


def _keep(
    folder: Path, vae: AutoencoderKL, average: Average, optimiser: torch.optim.Optimizer, budget: Budget, step: int
) -> None:
    state = {
        "decoder": vae.decoder.state_dict(),
        "optimiser": optimiser.state_dict(),
        "average": average.values,
        "seconds": budget.seconds,
        "step": step,
    }
    save(folder / "vae.pt", state)


@torch.no_grad()
def _sheet(folder: Path, vae: AutoencoderKL, average: Average, pictures: np.ndarray, latents: Tensor) -> None:
    originals, given = np.asarray(pictures[list(SHEET)]), latents[list(SHEET)]
    average.swap()
    with torch.autocast("cpu", torch.bfloat16):
        drawn = vae.decode(given / SCALING_FACTOR).sample
    average.swap()
    error = (drawn.float() - to_tensor(originals)).abs().mean()
    rows = [np.concatenate(list(row), axis=1) for row in (originals, to_pixels(drawn))]
    Image.fromarray(np.concatenate(rows)).save(folder / "vae.png")
    say(f"vae sheet written, mean error {error.item():.4f}")
