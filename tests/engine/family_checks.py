"""What the tests of families ask of each in the same way: one picture from every kind of file, alone as in company."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from gguf import GGMLQuantizationType
from safetensors.torch import load_file, save_file

from swarm.engine.device import choose_device
from swarm.engine.start import families
from swarm.jobs.job import LoraUse, ModelFile
from tests.engine.conftest import Bench
from tests.engine.flow_oracle import model
from tests.engine.test_checkpoint import gguf_file, scaled
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.weights import below, state

Parts = Mapping[str, ModelFile]
COMPANY: tuple[dict[str, Any], ...] = (
    {"prompt": "a cat", "steps": 3, "cfgscale": 4.0},
    {"prompt": "a very long " * 12, "steps": 5, "cfgscale": 3.0, "negativeprompt": "blue " * 9},
    {"prompt": "", "steps": 4, "cfgscale": 1.0},
    {"prompt": "a (cat:1.5) in a house", "steps": 4, "cfgscale": 1.0},
    {"prompt": "a cat", "steps": 4, "cfgscale": 1.0, "sampler": "heun"},
)
"""Requests that differ in all that may differ within one call."""


def drawn(bench: Bench, file: ModelFile, parts: Parts, seed: int, wish: Mapping[str, Any]) -> torch.Tensor:
    """A picture of a model that is completed by other files."""
    id = bench.submit(file, (seed,), parts={} if file.path.is_dir() else parts, **wish)
    bench.finish()
    found: torch.Tensor = bench.pixels(id)
    return found


def file_of(family: TinyFamily, folder: Path, parts: Parts, kind: str) -> ModelFile:
    """The family in a layout of its own, or in `diffusers` names, as `gguf`, or with its own companions (`whole`)."""
    path = folder / f"{kind}.{'gguf' if kind == 'gguf' else 'safetensors'}"
    if kind == "diffusers":
        save_file(below("diffusion_model.", state(family.denoiser())), path)
    elif kind == "gguf":
        gguf_file(path, family.original(), GGMLQuantizationType.F16)
    else:
        path = family.make(folder, layout=kind, name=kind)
    return model(family, path)


def weights_of(file: ModelFile, parts: Parts) -> dict[str, torch.Tensor]:
    """The denoiser's weights, as they were read."""
    found = families().load(file, choose_device(0, "auto"), {} if file.path.is_dir() else parts)
    return dict(found.denoiser.named_parameters())


def scaled_file(family: TinyFamily, folder: Path) -> ModelFile:
    """The family with its layers in eight-bit floats and their scales."""
    tensors = family.original()
    layers = {name: value for name, value in tensors.items() if name.endswith(".weight") and value.ndim == 2}
    save_file({**tensors, **scaled(layers, ".scale_weight")}, folder / "scaled.safetensors")
    return model(family, folder / "scaled.safetensors")


def nearly_equal(family: TinyFamily, weights: Mapping[str, torch.Tensor], rounding: float) -> None:
    """Every weight of the reference network is there, within `rounding` of its size."""
    for name, weight in family.denoiser().named_parameters():
        allowed = float(weight.abs().max()) * rounding / 10
        assert torch.allclose(weights[name], weight, rtol=rounding, atol=allowed), name


def in_company(bench: Bench, file: ModelFile, parts: Parts, **shared: Any) -> float:
    """The largest difference, of 255, between pictures alone and the same ones together."""
    wishes = [{**wish, **shared} for wish in COMPANY]
    alone = [drawn(bench, file, parts, seed, wish) for seed, wish in enumerate(wishes)]
    ids = [bench.submit(file, (seed,), parts=parts, **wish) for seed, wish in enumerate(wishes)]
    bench.finish()
    assert (alone[0] - alone[3]).abs().max() > 2.0
    return max(float((bench.pixels(id) - other).abs().max()) for id, other in zip(ids, alone, strict=True))


def lora_and_change(
    family: TinyFamily, folder: Path, name: str, *, home: str = "diffusion_model."
) -> tuple[LoraUse, ModelFile]:
    """A LoRA of one original layer below `home`, and the model with the same change of that layer's weight."""
    bare = load_file(family.make(folder, layout="bare", name="unchanged"))
    weight = bare[f"{name}.weight"]
    numbers = torch.Generator().manual_seed(3)
    down, up = torch.randn(2, weight.shape[1], generator=numbers), torch.randn(weight.shape[0], 2, generator=numbers)
    spelled = name.replace(".", "_") if home.endswith("_") else name
    path = folder / f"{home.strip('._')}.lora.safetensors"
    save_file({f"{home}{spelled}.lora_down.weight": down, f"{home}{spelled}.lora_up.weight": up}, path)
    use = LoraUse(file=ModelFile(name="lora", path=path, family=None, stamp="1"), weight=0.7, text_weight=0.0)
    bare[f"{name}.weight"] = weight.float() + up @ down * 0.7
    save_file(bare, folder / "changed.safetensors")
    return use, model(family, folder / "changed.safetensors")
