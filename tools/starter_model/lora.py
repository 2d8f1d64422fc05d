"""A small LoRA for the starter model: the same world as pencil sketches, in the file format of kohya's trainer.

The denoiser is frozen; every linear layer of its attention blocks learns a low-rank addition from sketched scenes.
"""

import random
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from tools.starter_model.captions import caption
from tools.starter_model.dataset import scene_at
from tools.starter_model.model import Model
from tools.starter_model.progress import Budget, load, pace, save, say
from tools.starter_model.stage_latents import read_latents
from tools.starter_model.stage_unet import Noise, trained_model
from tools.starter_model.words import Words

RANK = 8
PEAK = 2e-3
BATCH = 16
SAVE_EVERY = 100
DROPPED = 0.1
METADATA = {
    "format": "pt",
    "modelspec.sai_model_spec": "1.0.1",
    "modelspec.architecture": "stable-diffusion-v1/lora",
    "modelspec.title": "Postcards: pencil sketch",
    "modelspec.author": "The Swarm developers",
    "modelspec.description": "Turns the starter model's postcards into pencil sketches. For that model only.",
    "modelspec.usage_hint": "No trigger words; weight 1.",
    "modelspec.license": "MIT",
    "modelspec.resolution": "256x256",
    "modelspec.prediction_type": "epsilon",
    "modelspec.tags": "pencil, sketch, style",
    "ss_base_model_version": "sd_v1",
    "ss_network_module": "networks.lora",
    "ss_network_dim": str(RANK),
    "ss_network_alpha": str(RANK),
    "ss_sd_model_name": "postcards.safetensors",
    "ss_output_name": "postcards-pencil",
    "ss_resolution": "(256, 256)",
}


class Addition(nn.Module):
    """A frozen layer and its low-rank addition, which begins as nothing."""

    def __init__(self, base: nn.Linear | nn.Conv2d) -> None:
        """Convolutions here are all 1×1."""
        super().__init__()
        self.base = base
        if isinstance(base, nn.Conv2d):
            self.down: nn.Module = nn.Conv2d(base.in_channels, RANK, 1, bias=False)
            self.up: nn.Module = nn.Conv2d(RANK, base.out_channels, 1, bias=False)
        else:
            self.down = nn.Linear(base.in_features, RANK, bias=False)
            self.up = nn.Linear(RANK, base.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor, *_: object) -> Tensor:
        """The layer's answer and the addition."""
        return self.base(x) + self.up(self.down(x))


def add_to(unet: UNet2DConditionModel) -> dict[str, Addition]:
    """Freeze the denoiser and put an addition on every projection of its attention blocks, by kohya's name."""
    unet.requires_grad_(False)
    targets = [
        (name, module)
        for name, module in unet.named_modules()
        if ".attentions." in name and isinstance(module, nn.Linear | nn.Conv2d)
    ]
    additions = {}
    for name, module in targets:
        parent, _, last = name.rpartition(".")
        addition = Addition(module)
        setattr(unet.get_submodule(parent), last, addition)
        additions["lora_unet_" + name.replace(".", "_")] = addition
    return additions


def train_lora(folder: Path, *, seed: int, budget: Budget) -> None:
    """Train to the end of the budget, going on from an earlier checkpoint if there is one."""
    torch.manual_seed(seed)
    words = Words.read(folder / "words.txt")
    model = trained_model(folder, words)
    model.text.requires_grad_(False)
    additions = nn.ModuleDict(add_to(model.unet))
    learnt = [parameter for parameter in additions.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=PEAK, betas=(0.9, 0.99), weight_decay=0.01)
    step = _resume(folder, additions, optimiser, budget)
    latents, noise, rng = read_latents(folder, sketched=True), Noise(), random.Random(f"lora/{seed}/{step}")
    losses: list[float] = []
    while (progress := budget.progress(step)) < 1:
        optimiser.param_groups[0]["lr"] = pace(step, progress, peak=PEAK, warmup=30)
        indices = [rng.randrange(len(latents)) for _ in range(BATCH)]
        texts = ["" if rng.random() < DROPPED else caption(scene_at(seed, index), rng) for index in indices]
        losses.append(_learn(model, optimiser, noise, latents[indices], words.numbers(texts)))
        step += 1
        if step % 50 == 0:
            say(f"lora step {step} {progress:.1%} loss {sum(losses[-50:]) / 50:.4f}")
        if step % SAVE_EVERY == 0:
            _keep(folder, additions, optimiser, budget, step)
    _keep(folder, additions, optimiser, budget, step)


def _learn(model: Model, optimiser: torch.optim.Optimizer, noise: Noise, latents: Tensor, tokens: Tensor) -> float:
    noisy, moments, added = noise.add(latents)
    with torch.autocast("cpu", torch.bfloat16):
        guess = model(noisy, moments, tokens)
    loss = noise.loss(guess, added, moments)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return float(loss.item())


def kohya_weights(folder: Path) -> dict[str, Tensor]:
    """The trained additions under kohya's names, in half precision."""
    state = load(folder / "lora.pt")
    if state is None:
        raise FileNotFoundError("train the LoRA first: --stage lora")
    weights: dict[str, Tensor] = {}
    for name, value in state["additions"].items():
        module, _, part = name.partition(".")
        weights[f"{module}.lora_{part}"] = value.half().contiguous()
        weights[f"{module}.alpha"] = torch.tensor(float(RANK)).half()
    return weights


def _learnt_state(additions: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in additions.state_dict().items() if ".base." not in name}


def _resume(folder: Path, additions: nn.Module, optimiser: torch.optim.Optimizer, budget: Budget) -> int:
    state = load(folder / "lora.pt")
    if state is None:
        return 0
    additions.load_state_dict(state["additions"], strict=False)
    optimiser.load_state_dict(state["optimiser"])
    budget.spent = state["seconds"]
    return int(state["step"])


def _keep(folder: Path, additions: nn.Module, optimiser: torch.optim.Optimizer, budget: Budget, step: int) -> None:
    state = {
        "additions": _learnt_state(additions),
        "optimiser": optimiser.state_dict(),
        "seconds": budget.seconds,
        "step": step,
    }
    save(folder / "lora.pt", state)
