"""What the engine costs and what it gains, against a bare diffusers pipeline, in one run of interleaved rounds.

    python -m benchmarks.engine [--rounds 5] [--steps 20] [--threads 1] [--part sharing|inside|all]

A small SDXL-shaped model with random weights. Bare is a warm `pipe()` in a process of its own with the engine's thread
setting; it does not save. The server saves every picture, unless a row says otherwise. Medians of ratios in a round.
Last line, as JSON:

alone_ratio                  server seconds per picture, one client, 128², over bare (1 is free)
eight_clients_ratio          pictures per second with eight clients at once, 128², over bare
saturated_ratio              the same with four clients at 512², where two cores are full
spaced_latency_ratio         mean seconds to a picture when requests come one by one, over a server that runs what waits
                             as one `pipe()` call (request-level batching)
preview_cost, save_cost      share of pictures per second lost by showing previews, by saving
model_switch_ratio           seconds per A/B/A/B switch between two models, over reading one from disk
prompt_cache_encoder_calls   text encoder calls for a prompt the engine has seen
lora_switch_ratio            seconds to change LoRAs, over reading the model from disk
rss_growth                   resident memory after 100 pictures with five models, over that after warm-up, less 1
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

if not __package__:  # run as a file: let it find its neighbours
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.console import Console
from rich.table import Table

from benchmarks.bare import Bare
from benchmarks.serving import engine_server
from benchmarks.sharing import Sharing
from tests.support.client import SwarmClient
from tests.support.tiny_models import tiny_sdxl


def main() -> int:
    options = _options()
    figures: dict[str, float] = {}
    if options.part in ("sharing", "all"):
        figures |= _sharing(options)
    if options.part in ("inside", "all"):
        figures |= _inside()
    table = Table(title=f"Small SDXL, random weights, {options.steps} steps, {options.threads} thread(s)")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:.4f}")
    Console().print(table)
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", default="1", help="OMP_NUM_THREADS of both sides")
    parser.add_argument("--part", choices=("sharing", "inside", "all"), default="all")
    return parser.parse_args()


def _sharing(options: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "Models" / "Stable-Diffusion" / "small"
        tiny_sdxl().pipeline().save_pretrained(model)
        bare = Bare(model, options.threads)
        try:
            with engine_server(folder, threads=options.threads) as base, SwarmClient(base, timeout=600) as client:
                return Sharing(bare, client, steps=options.steps, rounds=options.rounds).figures()
        finally:
            bare.close()


def _inside() -> dict[str, float]:
    """Figures of an engine in a process of its own, without a server."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.inside"], stdout=subprocess.PIPE, check=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    sys.exit(main())
