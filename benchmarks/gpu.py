"""What the engine costs and gains on a GPU, with SDXL and Flux.1 at their true size and random weights.

    python -m benchmarks.gpu [--rounds 10] [--side 1024] [--out table.json] [--tiny]

Everything runs in this process: the engine as the server drives it, and a bare diffusers `pipe()` over the very same
modules, turn by turn, synchronised, after a warm-up. `--tiny` takes small shapes, to try the program on the processor.
Writes a JSON table, and says that the weights are random. Per model:

alone_ratio                engine seconds per picture over bare
batch_N_ratio              pictures per second with N at once, over bare
decode_share               the VAE's part of a picture alone
preview_cost               share of pictures per second lost by previews
model_switch_seconds       from one model to the other and back, both having been used
prompt_cache_encoder_calls text encoder calls for a prompt the engine has seen
memory_growth              device memory after all of this, over that after the warm-up, less 1
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if not __package__:  # run as a file: let it find its neighbours
    sys.path[0] = str(Path(__file__).resolve().parents[1])
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, FluxPipeline, StableDiffusionXLPipeline
from rich.console import Console
from rich.table import Table

import swarm.architectures
import swarm.engine.adapters
from benchmarks.random_models import FLUX, SDXL, random_adapters, random_file
from swarm.architectures.architecture import Architecture
from swarm.base.registry import collect
from swarm.engine.components import Adapter
from swarm.engine.device import choose_device
from swarm.engine.loader import Families
from swarm.engine.start import be_quiet
from swarm.engine.tokenizer import clip_tokenizer, t5_tokenizer
from swarm.jobs.job import ModelFile
from tests.engine.conftest import Bench, new_bench

SHAPES: dict[str, dict[str, Any]] = {SDXL: {"steps": 20, "cfgscale": 7.0}, FLUX: {"steps": 8, "cfgscale": 1.0}}
BATCHES = (2, 4, 8)
PROMPT = "a red house by the sea"


class Run:
    """One engine with both models, and the bare pipelines over their modules."""

    def __init__(self, folder: Path, side: int, *, tiny: bool) -> None:
        self.device = choose_device(0, "auto")
        adapters = random_adapters(collect(swarm.engine.adapters, Adapter), tiny=tiny)
        families = Families(collect(swarm.architectures, Architecture), adapters)
        self.bench: Bench = new_bench(16, device=self.device, families_=families)
        self.files = {family: random_file(folder, family) for family in SHAPES}
        self._size = {"width": side, "height": side}

    def engine(self, family: str, count: int, *, previews: bool = True) -> float:
        """Seconds per picture of `count` pictures asked for at once."""
        begun = self._now()
        values = {**SHAPES[family], **self._size, "prompt": PROMPT, "wants_previews": previews}
        for seed in range(count):
            self.bench.submit(self.files[family], (seed,), **values)
        self.bench.finish()
        self.bench.said.clear()
        return (self._now() - begun) / count

    def bare(self, family: str) -> float:
        """Seconds of one `pipe()` call for one picture."""
        components = self.bench.models.loaded(self.files[family], {}).components
        pipe = _pipeline(family, components)
        shape = SHAPES[family]
        guidance = shape["cfgscale"] if family == SDXL else 3.5
        begun = self._now()
        pipe(PROMPT, num_inference_steps=shape["steps"], guidance_scale=guidance, **self._size)
        return self._now() - begun

    def decode(self, family: str) -> float:
        vae = self.bench.models.loaded(self.files[family], {}).components.vae
        cells = self._size["width"] // vae.factor
        latent = torch.zeros(1, vae.channels, cells, cells, device=self.device.place)
        begun = self._now()
        vae.decode(latent)
        return self._now() - begun

    def memory(self) -> int:
        return torch.cuda.memory_allocated(self.device.place) if self.device.is_cuda else 1

    def _now(self) -> float:
        if self.device.is_cuda:
            torch.cuda.synchronize(self.device.place)
        return time.perf_counter()


def _pipeline(family: str, components: Any) -> Any:
    clip = clip_tokenizer()
    if family == SDXL:
        first, second = components.text_modules
        pipe: Any = StableDiffusionXLPipeline(
            vae=components.vae.module, text_encoder=first, text_encoder_2=second, tokenizer=clip, tokenizer_2=clip,
            unet=components.denoiser, scheduler=EulerDiscreteScheduler(), add_watermarker=False,
        )  # fmt: skip
    else:
        first, second = components.text_modules
        pipe = FluxPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0), vae=components.vae.module, text_encoder=first,
            tokenizer=clip, text_encoder_2=second, tokenizer_2=t5_tokenizer(), transformer=components.denoiser,
        )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe


def measure(run: Run, family: str, rounds: int) -> dict[str, float]:
    """Interleaved rounds for one model."""
    run.engine(family, 1)
    run.bare(family)
    for count in BATCHES:
        run.engine(family, count)
    warm = run.memory()
    calls = run.bench.models.loaded(run.files[family], {}).components.text.calls
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        bare, alone = run.bare(family), run.engine(family, 1, previews=False)
        sample = {"alone_ratio": alone / bare, "bare_seconds": bare, "decode_share": run.decode(family) / alone}
        sample["preview_cost"] = 1.0 - alone / run.engine(family, 1)
        sample |= {f"batch_{count}_ratio": bare / run.engine(family, count) for count in BATCHES}
        for name, value in sample.items():
            found.setdefault(name, []).append(value)
    figures = {name: round(statistics.median(values), 4) for name, values in found.items()}
    text = run.bench.models.loaded(run.files[family], {}).components.text
    figures["prompt_cache_encoder_calls"] = text.calls - calls
    figures["memory_growth"] = round(run.memory() / warm - 1.0, 4)
    return figures


def switching(run: Run, rounds: int) -> float:
    """Seconds for a change of models, both loaded before."""

    def ready(file: ModelFile) -> Callable[[], object]:
        return lambda: run.bench.models.loaded(file, {})

    seconds = []
    for number in range(2 * rounds):
        action = ready(run.files[FLUX if number % 2 else SDXL])
        begun = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begun)
    return round(statistics.median(seconds), 4)


def main() -> int:
    options = _options()
    be_quiet()
    console = Console()
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        run = Run(Path(name), options.side, tiny=options.tiny)
        if not run.device.is_cuda and not options.tiny:
            console.print("There is no CUDA device here. Try the program with --tiny --side 64.")
            return 1
        table: dict[str, Any] = {"device": run.device.name, "weights": "random weights", "side": options.side}
        table["models"] = {family: measure(run, family, options.rounds) for family in SHAPES}
        table["model_switch_seconds"] = switching(run, options.rounds)
    shown = Table(title=f"{table['device']}, {options.side}², random weights")
    shown.add_column("figure")
    for family in SHAPES:
        shown.add_column(family, justify="right")
    for figure in table["models"][SDXL]:
        shown.add_row(figure, *(f"{table['models'][family][figure]:.4f}" for family in SHAPES))
    console.print(shown)
    text = json.dumps(table)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--out", type=Path, default=None, help="where to write the JSON table")
    parser.add_argument("--tiny", action="store_true", help="small shapes, for the processor")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
