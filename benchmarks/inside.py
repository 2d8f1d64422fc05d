"""An engine in this process: what switching models and LoRAs costs, what is remembered, whether memory stays."""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import psutil
import torch
from safetensors.torch import save_file

from swarm.engine.allocator import keep_freed_memory
from swarm.engine.start import be_quiet
from swarm.jobs.job import LoraUse, ModelFile
from swarm.jobs.stage import Pass
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, XL, Bench, new_bench
from tests.support.tiny_models import tiny_sd, tiny_sdxl

PICTURES, MODELS, ROUNDS = 100, 5, 7


def main() -> int:
    keep_freed_memory()
    be_quiet()
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        folder = Path(name)
        files = [_saved(folder, number) for number in range(MODELS)]
        loras = [_lora(folder, number) for number in range(2)]
        figures = {**_switches(files, loras), **_prompts(files[0]), **_memory(files)}
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


def _saved(folder: Path, number: int) -> ModelFile:
    model = tiny_sd(number) if number % 2 else tiny_sdxl(number)
    path = model.save_single_file(folder / f"model-{number}.safetensors")
    return ModelFile(name=path.name, path=path, family=SD if number % 2 else XL, stamp="1")


def _lora(folder: Path, number: int) -> LoraUse:
    """A LoRA on every cross-attention of the first model."""
    torch.manual_seed(number)
    tensors: dict[str, torch.Tensor] = {}
    for name, module in tiny_sdxl(0).unet.named_modules():
        if isinstance(module, torch.nn.Linear) and ".attn" in name:
            key = "lora_unet_" + name.replace(".", "_")
            tensors[f"{key}.lora_down.weight"] = torch.randn(8, module.in_features)
            tensors[f"{key}.lora_up.weight"] = torch.randn(module.out_features, 8) * 0.01
    path = folder / f"lora-{number}.safetensors"
    save_file(tensors, path)
    file = ModelFile(name=path.name, path=path, family=None, stamp="1")
    return LoraUse(file=file, weight=1.0, text_weight=1.0)


def _walk(file: ModelFile, *loras: LoraUse) -> Pass:
    return Pass(input=GenerationInput(), model=file, seed=0, loras=loras)


def _seconds(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def _switches(files: list[ModelFile], loras: list[LoraUse]) -> dict[str, float]:
    """Rounds of: read from disk, switch A/B/A/B, change LoRAs."""
    first, second = files[0], files[2]
    model_ratios, lora_ratios = [], []
    for _ in range(ROUNDS):
        bench = new_bench()
        read = _seconds(lambda bench=bench: bench.models.ready(_walk(first)))  # type: ignore[misc]
        bench.models.ready(_walk(second))
        turns = [file for _ in range(4) for file in (first, second)]
        switch = statistics.median(
            _seconds(lambda file=file, bench=bench: bench.models.ready(_walk(file)))  # type: ignore[misc]
            for file in turns
        )
        for lora in loras:
            bench.models.ready(_walk(first, lora))
        changes = [lora for _ in range(3) for lora in loras]
        change = statistics.median(
            _seconds(lambda lora=lora, bench=bench: bench.models.ready(_walk(first, lora)))  # type: ignore[misc]
            for lora in changes
        )
        model_ratios.append(switch / read)
        lora_ratios.append(change / read)
    return {
        "model_switch_ratio": round(statistics.median(model_ratios), 5),
        "lora_switch_ratio": round(statistics.median(lora_ratios), 4),
    }


def _prompts(file: ModelFile) -> dict[str, float]:
    bench = new_bench()
    bench.picture(file, 1, prompt="a lighthouse at night", negativeprompt="fog")
    text = bench.models.loaded(file, {}).components.text
    before = text.calls
    bench.picture(file, 2, prompt="a lighthouse at night", negativeprompt="fog")
    return {"prompt_cache_encoder_calls": text.calls - before}


def _memory(files: list[ModelFile]) -> dict[str, float]:
    """100 pictures over five models in turn, in groups of five so that models are switched twenty times."""
    bench = new_bench()
    _pictures(bench, files, range(2 * MODELS))
    warm = _resident()
    _pictures(bench, files, range(PICTURES))
    return {"rss_growth": round(_resident() / warm - 1.0, 4), "rss_mib": round(_resident() / 2**20, 1)}


def _pictures(bench: Bench, files: list[ModelFile], seeds: range) -> None:
    for seed in seeds:
        side = 64 + 64 * (seed % 3)
        bench.picture(files[seed % len(files)], seed, width=side, height=side, prompt=f"house number {seed}")
        bench.said.clear()


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    sys.exit(main())
