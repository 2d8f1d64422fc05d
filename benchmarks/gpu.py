"""What the engine costs and gains on a GPU, with SDXL and Flux.1 at their true size and random weights.

    python -m benchmarks.gpu [--minutes 8] [--rounds 10] [--side 1024] [--out table.json] [--only sdxl|flux] [--tiny]

Everything runs in this process: the engine as the server drives it, and a bare diffusers `pipe()` over the very same
modules, turn by turn, synchronised, after a warm-up. Rounds end when there are enough or the minutes are over, so that
a slower device gives fewer of them. Weights are made on the device, in their own format: about 8 GB for SDXL and 36 GB
for Flux.1, with what they work in. `--tiny` takes small shapes, to try the program on the processor. Writes a table
as JSON after each model, and says that the weights are random. Per model:

alone_ratio                engine seconds per picture over bare
batch_N_ratio              pictures per second with N at once, over bare
decode_share               the VAE's part of a picture alone
preview_cost               share of pictures per second lost by previews
model_switch_seconds       from one model to the other and back, both having been used
prompt_cache_encoder_calls text encoder calls for a prompt the engine has seen
peak_gib                   the most device memory that was taken
memory_growth              device memory after 100 more pictures of changing sizes and prompts, over that before, less 1
rounds                     how many there were; the figures are medians
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
from swarm.jobs.frames import JobFailed
from swarm.jobs.job import ModelFile
from tests.engine.conftest import Bench, new_bench

SHAPES: dict[str, dict[str, Any]] = {SDXL: {"steps": 20, "cfgscale": 7.0}, FLUX: {"steps": 8, "cfgscale": 1.0}}
BATCHES = (2, 4, 8)
NAMES = {"sdxl": SDXL, "flux": FLUX}
PICTURES = 100
"""Made for the memory check, at half the side and two steps."""
PROMPT = "a red house by the sea"


class Run:
    """One engine with both models, and the bare pipelines over their modules."""

    def __init__(self, folder: Path, side: int, *, tiny: bool) -> None:
        self.device = choose_device(0, "auto")
        adapters = random_adapters(collect(swarm.engine.adapters, Adapter), tiny=tiny)
        families = Families(collect(swarm.architectures, Architecture), adapters)
        self.bench: Bench = new_bench(16, device=self.device, families_=families)
        self.files = {family: random_file(folder, family) for family in SHAPES}
        self.side = side
        self._size = {"width": side, "height": side}

    def engine(self, family: str, count: int, *, previews: bool = True) -> float:
        """Seconds per picture of `count` pictures asked for at once."""
        begun = self._now()
        values = {**SHAPES[family], **self._size, "prompt": PROMPT, "wants_previews": previews}
        for seed in range(count):
            self.bench.submit(self.files[family], (seed,), **values)
        self._finish()
        return (self._now() - begun) / count

    def _finish(self) -> None:
        """Have everything made. Raises RuntimeError with the sentence of a job that failed: it took no time."""
        self.bench.finish()
        failed = [one for answers in self.bench.said.values() for one in answers if isinstance(one, JobFailed)]
        if failed:
            raise RuntimeError(failed[0].sentence)
        self.bench.said.clear()

    def many(self, family: str, count: int) -> None:
        """Pictures one after the other, no two in a row of one size, each with a prompt of its own."""
        for number in range(count):
            side = (self.side // 2 + 64 * (number % 3)) // 64 * 64 or 64
            values = {**SHAPES[family], "steps": 2, "width": side, "height": side, "prompt": f"house number {number}"}
            self.bench.submit(self.files[family], (number,), **values)
            self._finish()

    def bare(self, family: str) -> float:
        """Seconds of one `pipe()` call for one picture."""
        components = self.bench.models.loaded(self.files[family], {}).components
        pipe = _pipeline(family, components)
        shape = SHAPES[family]
        guidance = shape["cfgscale"] if family == SDXL else 3.5
        told = {"num_inference_steps": shape["steps"], "guidance_scale": guidance, **self._size}
        begun = self._now()
        if family == SDXL:
            # The pipeline itself cannot hand latents in float16 to a VAE in bfloat16.
            latents = pipe(PROMPT, output_type="latent", **told).images
            vae = components.vae.module
            image = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype)).sample
            pipe.image_processor.postprocess(image.float())
        else:
            pipe(PROMPT, **told)
        return self._now() - begun

    def decode(self, family: str) -> float:
        vae = self.bench.models.loaded(self.files[family], {}).components.vae
        cells = self._size["width"] // vae.factor
        latent = torch.zeros(1, vae.channels, cells, cells, device=self.device.place)
        begun = self._now()
        vae.decode(latent)
        return self._now() - begun

    def peak(self) -> float:
        """Gibibytes."""
        taken = torch.cuda.max_memory_allocated(self.device.place) if self.device.is_cuda else 0
        return round(taken / 2**30, 2)

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


def measure(run: Run, family: str, rounds: int, seconds: float) -> dict[str, float]:
    """Interleaved rounds for one model: one at least, and no more than begin within `seconds`."""
    until = time.perf_counter() + seconds
    run.engine(family, 1)
    run.bare(family)
    for count in BATCHES:
        run.engine(family, count)
    calls = run.bench.models.loaded(run.files[family], {}).components.text.calls
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        if number and time.perf_counter() > until:
            break
        bare, alone = run.bare(family), run.engine(family, 1, previews=False)
        sample = {"alone_ratio": alone / bare, "bare_seconds": bare, "decode_share": run.decode(family) / alone}
        sample["preview_cost"] = 1.0 - alone / run.engine(family, 1)
        sample |= {f"batch_{count}_ratio": bare / run.engine(family, count) for count in BATCHES}
        for name, value in sample.items():
            found.setdefault(name, []).append(value)
    figures = {name: round(statistics.median(values), 4) for name, values in found.items()}
    text = run.bench.models.loaded(run.files[family], {}).components.text
    figures["prompt_cache_encoder_calls"] = text.calls - calls
    figures["peak_gib"] = run.peak()
    run.many(family, 6)
    warm = run.memory()
    run.many(family, PICTURES)
    figures["memory_growth"] = round(run.memory() / warm - 1.0, 4)
    figures["rounds"] = len(found["alone_ratio"])
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
    families = [NAMES[options.only]] if options.only else list(SHAPES)
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        run = Run(Path(name), options.side, tiny=options.tiny)
        if not run.device.is_cuda and not options.tiny:
            console.print("There is no CUDA device here. Try the program with --tiny --side 64.")
            return 1
        table: dict[str, Any] = {"device": run.device.name, "torch": torch.__version__, "weights": "random weights"}
        table |= {"side": options.side, "models": {}}
        for family in families:
            table["models"][family] = measure(run, family, options.rounds, options.minutes * 60 / len(families))
            _written(table, options.out)
        if len(families) > 1:
            table["model_switch_seconds"] = switching(run, options.rounds)
            _written(table, options.out)
    shown = Table(title=f"{table['device']}, {options.side}², random weights")
    shown.add_column("figure")
    for family in families:
        shown.add_column(family, justify="right")
    for figure in table["models"][families[0]]:
        shown.add_row(figure, *(f"{table['models'][family][figure]:.4f}" for family in families))
    console.print(shown)
    sys.stdout.write(json.dumps(table) + "\n")
    return 0


def _written(table: dict[str, Any], out: Path | None) -> None:
    if out is not None:
        out.write_text(json.dumps(table) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=8.0, help="for the rounds of all models together")
    parser.add_argument("--only", choices=tuple(NAMES), default=None, help="one of the models")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--out", type=Path, default=None, help="where to write the JSON table")
    parser.add_argument("--tiny", action="store_true", help="small shapes, for the processor")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
