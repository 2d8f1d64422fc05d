"""What the engine costs and gains on a GPU, with SDXL and Flux.1 at their true size and random weights.

    python -m benchmarks.gpu [--minutes 4] [--rounds 10] [--side 1024] [--out table.json] [--only sdxl|flux] [--tiny]

Everything runs in this process: the engine as the server drives it, and a bare diffusers `pipe()` over the very same
modules, turn by turn, synchronised, after a warm-up. Rounds end when there are enough or the minutes are over, so that
a slower device gives fewer of them. Weights are made on the device, in their own format: about 8 GB for SDXL and 36 GB
for Flux.1, with what they work in. `--tiny` takes small shapes, to try the program on the processor. Writes a table
as JSON after each model, and says that the weights are random. Per model:

alone_ratio                engine seconds per picture over bare
alone_new_prompt_ratio     the same with prompts that neither has seen, so that both encode them
batch_N_ratio              pictures per second with N at once, over bare
eight_clients_ratio        pictures per second with eight clients, two pictures each, at half the side, over bare
saturated_ratio            the same with four clients at the whole side, where the device is full
spaced_latency_ratio       mean seconds to a picture at half the side when requests come one by one, over a server that
                           runs what waits as one `pipe()` call
decode_share               the VAE's part of a picture alone
preview_cost, save_cost    share of pictures per second lost by previews (four at once), by another process that saves
model_switch_seconds       from one model to the other and back, both having been used
lora_switch_seconds        from one LoRA over all attention to another of its kind
prompt_cache_encoder_calls text encoder calls for a prompt the engine has seen
peak_gib                   the most device memory that was taken
memory_growth              device memory after 100 more pictures of changing sizes and prompts, over that before, less 1
rounds                     how many there were; the figures are medians
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from itertools import count as numbers
from pathlib import Path
from typing import Any

if not __package__:  # run as a file: let it find its neighbours
    sys.path[0] = str(Path(__file__).resolve().parents[1])
os.environ["HF_HUB_OFFLINE"] = "1"

import diffusers
import psutil
import torch
from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, FluxPipeline, StableDiffusionXLPipeline
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file

import swarm.architectures
import swarm.engine.adapters
from benchmarks.gpu_sharing import GAP, Clients, batched_by_request
from benchmarks.random_models import FLUX, SDXL, random_adapters, random_file
from swarm.architectures.architecture import Architecture
from swarm.base.registry import collect
from swarm.engine.adapters.flux_load import SHORTEST
from swarm.engine.attending.attention import usable
from swarm.engine.components import Adapter, Components
from swarm.engine.device import choose_device
from swarm.engine.loader import Families
from swarm.engine.start import be_quiet
from swarm.engine.words.tokenizer import clip_tokenizer, t5_tokenizer
from swarm.jobs.frames import JobFailed
from swarm.jobs.job import LoraUse, ModelFile
from swarm.jobs.stage import Pass
from swarm.params.input import GenerationInput
from tests.engine.conftest import Bench, new_bench

SHAPES: dict[str, dict[str, Any]] = {SDXL: {"steps": 20, "cfgscale": 7.0}, FLUX: {"steps": 8, "cfgscale": 1.0}}
GUIDANCE = 3.5
"""What Flux is told, which the engine does where a request says nothing."""
BATCHES = (2, 4, 8)
SHOWN = 4
"""Pictures at once whose previews are looked at."""
SAVED = 8
WARM = 2
RANK = 16
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
        self.bench: Bench = new_bench(None, device=self.device, families_=families)
        self.files = {family: random_file(folder, family) for family in SHAPES}
        self.side = side
        self.half = max(64, side // 2)
        self._folder = folder
        self._prompts = numbers()

    def new_prompt(self) -> str:
        """One that nobody has seen."""
        return f"{PROMPT}, number {next(self._prompts)}"

    def asked(self, family: str, side: int) -> dict[str, Any]:
        return {**SHAPES[family], "width": side, "height": side, "prompt": PROMPT}

    def engine(self, family: str, count: int, *, previews: bool = False, prompt: str = PROMPT) -> float:
        """Seconds per picture of `count` pictures asked for at once."""
        begun = self.now()
        values = {**self.asked(family, self.side), "prompt": prompt, "wants_previews": previews}
        for seed in range(count):
            self.bench.submit(self.files[family], (seed,), **values)
        self._finish()
        return (self.now() - begun) / count

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

    def clients(self, family: str, side: int) -> Clients:
        return Clients(bench=self.bench, file=self.files[family], values=self.asked(family, side), now=self.now)

    def bare(self, family: str, count: int = 1, *, side: int | None = None, prompt: str = PROMPT) -> float:
        """Seconds of one `pipe()` call for `count` pictures."""
        components = self.components(family)
        pipe = _pipeline(family, components)
        shape, side = SHAPES[family], side or self.side
        told = {"num_inference_steps": shape["steps"], "num_images_per_prompt": count, "width": side, "height": side}
        begun = self.now()
        if family == SDXL:
            # The pipeline itself cannot hand latents in float16 to a VAE in bfloat16.
            latents = pipe(prompt, output_type="latent", guidance_scale=shape["cfgscale"], **told).images
            vae = components.vae.module
            image = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype)).sample
            pipe.image_processor.postprocess(image.float())
        else:
            # As many words as the engine fills prompts up to.
            pipe(prompt, guidance_scale=GUIDANCE, max_sequence_length=SHORTEST, **told)
        return self.now() - begun

    def decode(self, family: str) -> float:
        vae = self.components(family).vae
        cells = self.side // vae.factor
        latent = torch.zeros(1, vae.channels, cells, cells, device=self.device.place)
        begun = self.now()
        vae.decode(latent)
        return self.now() - begun

    def lora(self, family: str) -> LoraUse:
        """A LoRA of random numbers over all attention of a model."""
        tensors: dict[str, torch.Tensor] = {}
        for name, module in self.components(family).denoiser.named_modules():
            if isinstance(module, torch.nn.Linear) and ".attn" in name:
                key = "lora_unet_" + name.replace(".", "_")
                tensors[f"{key}.lora_down.weight"] = torch.randn(RANK, module.in_features, dtype=torch.float16)
                tensors[f"{key}.lora_up.weight"] = torch.randn(module.out_features, RANK, dtype=torch.float16) * 0.01
        path = self._folder / f"lora-{next(self._prompts)}.safetensors"
        save_file(tensors, path)
        return LoraUse(file=ModelFile(name=path.name, path=path, family=None, stamp="1"), weight=1.0, text_weight=1.0)

    def ready(self, family: str, *loras: LoraUse) -> float:
        """Seconds until a model is ready with these LoRAs and no others."""
        begun = self.now()
        self.bench.models.ready(Pass(input=GenerationInput(), model=self.files[family], seed=0, loras=loras))
        return self.now() - begun

    def components(self, family: str) -> Components:
        return self.bench.models.loaded(self.files[family], {}).components

    def peak(self) -> float:
        """Gibibytes."""
        taken = torch.cuda.max_memory_allocated(self.device.place) if self.device.is_cuda else _resident()
        return round(taken / 2**30, 2)

    def memory(self) -> int:
        return torch.cuda.memory_allocated(self.device.place) if self.device.is_cuda else _resident()

    def now(self) -> float:
        if self.device.is_cuda:
            torch.cuda.synchronize(self.device.place)
        return time.perf_counter()


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


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
    """All figures of one model. Interleaved rounds: one at least, and no more than begin within `seconds`."""
    until = time.perf_counter() + seconds
    run.engine(family, 1)
    run.bare(family)
    for _ in range(WARM):
        for count in BATCHES:
            run.engine(family, count)
    calls = run.components(family).text.calls
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        if number and time.perf_counter() > until:
            break
        for name, value in _round(run, family).items():
            found.setdefault(name, []).append(value)
    figures = {name: round(statistics.median(values), 4) for name, values in found.items()}
    # Here, for the engine begins to count anew where a call is larger than any before of its size.
    figures["peak_gib"] = run.peak()
    new = [_new_prompts(run, family) for _ in range(min(3, rounds))]
    figures["alone_new_prompt_ratio"] = round(statistics.median(new), 4)
    figures["prompt_cache_encoder_calls"] = run.components(family).text.calls - calls - len(new)
    figures |= {name: round(value, 4) for name, value in _shared(run, family, min(2, rounds)).items()}
    figures["lora_switch_seconds"] = _lora_seconds(run, family)
    run.many(family, 6)
    warm = run.memory()
    run.many(family, PICTURES)
    figures["memory_growth"] = round(run.memory() / warm - 1.0, 4)
    figures["rounds"] = len(found["alone_ratio"])
    return figures


def _round(run: Run, family: str) -> dict[str, float]:
    bare, alone = run.bare(family), run.engine(family, 1)
    shared = {count: run.engine(family, count) for count in BATCHES}
    shown = run.engine(family, SHOWN, previews=True)
    return {
        "alone_ratio": alone / bare,
        "bare_seconds": bare,
        "decode_share": run.decode(family) / alone,
        "preview_cost": 1.0 - shared[SHOWN] / shown,
        **{f"batch_{count}_ratio": bare / seconds for count, seconds in shared.items()},
    }


def _new_prompts(run: Run, family: str) -> float:
    return run.engine(family, 1, prompt=run.new_prompt()) / run.bare(family, prompt=run.new_prompt())


def _shared(run: Run, family: str, rounds: int) -> dict[str, float]:
    """What many get, the first of `rounds` being for warmth where there are several."""
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        half, whole = run.clients(family, run.half), run.clients(family, run.side)
        bare = run.bare(family, side=run.half)
        gap = bare * GAP
        requests = batched_by_request(lambda count: run.bare(family, count, side=run.half), gap)
        turns = [(half.at_once(SAVED, 1), half.saved(SAVED)) for _ in range(2)]
        unsaved, saved = map(min, zip(*turns, strict=True))
        found.append(
            {
                "eight_clients_ratio": bare / half.at_once(8, 2),
                "saturated_ratio": run.bare(family) / whole.at_once(4, 1),
                "spaced_latency_ratio": half.one_by_one(gap) / requests,
                "save_cost": 1.0 - unsaved / saved,
            }
        )
    kept = found[1:] or found
    return {name: statistics.median(one[name] for one in kept) for name in kept[0]}


def _lora_seconds(run: Run, family: str) -> float:
    loras = [run.lora(family) for _ in range(2)]
    seconds = [run.ready(family, lora) for lora in (*loras, *loras, *loras)]
    run.ready(family)
    return round(statistics.median(seconds[1:]), 4)


def switching(run: Run, rounds: int) -> float:
    """Seconds for a change of models, both loaded before."""
    seconds = [run.ready(FLUX if number % 2 else SDXL) for number in range(2 * rounds)]
    return round(statistics.median(seconds), 4)


def main() -> int:
    options = _options()
    be_quiet()
    console = Console()
    families = [NAMES[options.only]] if options.only else list(SHAPES)
    side = options.side or (64 if options.tiny else 1024)
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        run = Run(Path(name), side, tiny=options.tiny)
        if not run.device.is_cuda and not options.tiny:
            console.print("There is no CUDA device here. Try the program with --tiny.")
            return 1
        table: dict[str, Any] = {**described(run), "side": side, "models": {}}
        for family in families:
            table["models"][family] = measure(run, family, options.rounds, options.minutes * 60 / len(families))
            _written(table, options.out)
        if len(families) > 1:
            table["model_switch_seconds"] = switching(run, options.rounds)
            _written(table, options.out)
    shown = Table(title=f"{table['device']}, {side}², random weights")
    shown.add_column("figure")
    for family in families:
        shown.add_column(family, justify="right")
    for figure in table["models"][families[0]]:
        shown.add_row(figure, *(f"{table['models'][family][figure]:.4f}" for family in families))
    console.print(shown)
    sys.stdout.write(json.dumps(table) + "\n")
    return 0


def described(run: Run) -> dict[str, Any]:
    """What the figures are of."""
    device = run.device
    return {
        "weights": "random weights",
        "device": device.name,
        "memory_gib": round(device.memory / 2**30, 1),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "diffusers": diffusers.__version__,
        "compute": str(device.compute),
        "attention": list(usable(device)),
    }


def _written(table: dict[str, Any], out: Path | None) -> None:
    if out is not None:
        out.write_text(json.dumps(table) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=4.0, help="for the rounds of all models together")
    parser.add_argument("--only", choices=tuple(NAMES), default=None, help="one of the models")
    parser.add_argument("--side", type=int, default=None, help="1024; 64 with --tiny")
    parser.add_argument("--out", type=Path, default=None, help="where to write the JSON table")
    parser.add_argument("--tiny", action="store_true", help="small shapes, for the processor")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
