"""What the server costs, and what sharing the model gains: the bare diffusers pipeline against the server, in one run.

    python -m benchmarks.overhead [--rounds 5] [--pictures 6] [--side 128] [--steps 20] [--threads 1]

A small SDXL-shaped model with random weights; rounds are interleaved (bare, alone, eight clients, bare, …), medians
are compared. Bare is a warm `pipe()` in a process of its own, with the engine's thread setting; it does not save. The
server saves every picture with its metadata. Last line: {"alone_ratio", "eight_clients_ratio", …}.

alone_ratio: server seconds per picture, one HTTP client one request at a time, over bare seconds (1.0 is free).
eight_clients_ratio: pictures per second with eight HTTP clients at once over bare pictures per second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

if not __package__:  # run as a file: let it find its neighbours, and not hide the library `requests`
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.console import Console
from rich.table import Table

from benchmarks.bare import Bare
from benchmarks.serving import engine_server
from tests.support.client import SwarmClient
from tests.support.tiny_models import tiny_sdxl

CLIENTS = 8
CFG = 7.0


@dataclass
class Rounds:
    """Seconds per picture of each kind of round."""

    bare: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    eight: list[float] = field(default_factory=list)


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "Models" / "Stable-Diffusion" / "small"
        tiny_sdxl().pipeline().save_pretrained(model)
        bare = Bare(model, options.threads)
        try:
            with engine_server(folder, threads=options.threads) as base:
                rounds = measure(base, bare, options)
        finally:
            bare.close()
    _report(rounds, options)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=6, help="pictures per bare and per alone round")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", default="1", help="OMP_NUM_THREADS of both sides")
    return parser.parse_args()


def measure(base: str, bare: Bare, options: argparse.Namespace) -> Rounds:
    rounds = Rounds()
    shape = {"steps": options.steps, "side": options.side, "cfg": CFG}
    with SwarmClient(base, timeout=600) as client:
        for seed in range(3):  # warm both sides: first calls build caches, and the batcher learns what sharing gains
            bare.picture(seed=seed, **shape)
            _picture(client, seed, options)
        _eight(client, options)
        for number in range(options.rounds):
            seeds = range(number * 100, number * 100 + options.pictures)
            rounds.bare.append(statistics.median(bare.picture(seed=seed, **shape) for seed in seeds))
            rounds.alone.append(statistics.median(_picture(client, seed, options) for seed in seeds))
            rounds.eight.append(_eight(client, options))
    return rounds


def _picture(client: SwarmClient, seed: int, options: argparse.Namespace) -> float:
    """Seconds from asking to holding the URL of the saved picture."""
    begun = time.perf_counter()
    answer = client.generate(
        prompt="a red house by the sea",
        model="small",
        seed=seed,
        steps=options.steps,
        cfgscale=CFG,
        width=options.side,
        height=options.side,
        sampler="euler",
        scheduler="normal",
    )
    if "images" not in answer:
        raise RuntimeError(str(answer))
    return time.perf_counter() - begun


def _eight(client: SwarmClient, options: argparse.Namespace) -> float:
    """Seconds per picture when eight clients ask at once, two pictures each."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda seed: _picture(client, seed, options), range(2 * CLIENTS)))
    return (time.perf_counter() - begun) / (2 * CLIENTS)


def _report(rounds: Rounds, options: argparse.Namespace) -> None:
    alone = statistics.median(a / b for a, b in zip(rounds.alone, rounds.bare, strict=True))
    eight = statistics.median(b / e for e, b in zip(rounds.eight, rounds.bare, strict=True))
    table = Table(title=f"SDXL-shaped small model, random weights, {options.side}², {options.steps} steps, CFG {CFG}")
    for heading in ("", "seconds per picture (median)", "against bare"):
        table.add_column(heading)
    bare = statistics.median(rounds.bare)
    table.add_row("bare diffusers pipeline", f"{bare:.3f}", "1.00")
    table.add_row("server, one client", f"{statistics.median(rounds.alone):.3f}", f"{alone:.3f} × the time")
    table.add_row("server, eight clients", f"{statistics.median(rounds.eight):.3f}", f"{eight:.2f} × the pictures")
    Console().print(table)
    figures = {
        "alone_ratio": round(alone, 4),
        "eight_clients_ratio": round(eight, 3),
        "bare_seconds": round(bare, 4),
        "side": options.side,
        "steps": options.steps,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    sys.exit(main())
