"""Train the starter model from nothing: `python -m tools.starter_model.train`. Stop and start it as you like."""

import argparse
from pathlib import Path

import torch

from tools.starter_model.export import export
from tools.starter_model.lora import train_lora
from tools.starter_model.progress import Budget
from tools.starter_model.stage_latents import make_latents
from tools.starter_model.stage_unet import train_unet
from tools.starter_model.stage_vae import train_vae

SCENES = 20_000
SKETCHES = 3_000
STAGES = ("latents", "vae", "unet", "lora", "export")


def main() -> None:
    """Run the stages asked for, each going on from where it stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", choices=(*STAGES, "all"), default="all")
    parser.add_argument("--minutes", type=float, help="end a training stage after so many minutes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(".training"), help="checkpoints and samples")
    parser.add_argument("--assets", type=Path, default=Path("assets/starter"), help="the files that ship")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(exist_ok=True)
    for stage in STAGES if options.stage == "all" else (options.stage,):
        if stage == "export":
            export(options.folder, options.assets)
        else:
            train(stage, options.folder, options.seed, options.minutes)


def train(stage: str, folder: Path, seed: int, minutes: float | None) -> None:
    """One stage, to its end."""
    if stage == "latents":
        make_latents(folder, seed=seed, count=SCENES)
    elif stage == "vae":
        train_vae(folder, seed=seed, budget=Budget(steps=9000, minutes=minutes))
    elif stage == "unet":
        train_unet(folder, seed=seed, budget=Budget(steps=9000, minutes=minutes))
    elif stage == "lora":
        make_latents(folder, seed=seed, count=SKETCHES, sketched=True)
        train_lora(folder, seed=seed, budget=Budget(steps=800, minutes=minutes))


if __name__ == "__main__":
    main()
