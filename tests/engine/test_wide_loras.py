"""Flux.1's depth and canny LoRAs: the model draws along a picture what diffusers draws with the wide weights."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxControlPipeline, FluxTransformer2DModel
from safetensors.torch import save_file

from swarm.diffusion.sigmas import SigmaTable
from swarm.engine.adapters.flux import is_led
from swarm.engine.loras.lora_files import read_lora
from swarm.engine.packing import packed
from swarm.jobs.job import LoraUse, ModelFile
from swarm.media.stretched import opened
from tests.engine.conftest import SD, Bench
from tests.engine.flow_oracle import PROMPT, given, model, noise, pixels
from tests.engine.test_controlnet import file_of, picture
from tests.support.tiny.autoencoders import flux_vae
from tests.support.tiny.flux import DEV, FILL, convert, pipeline
from tests.support.tiny.weights import Tensors, filled

pytestmark = pytest.mark.torch
TABLE = SigmaTable.flow(exp(1.15), 10_000)
ASKED: dict[str, Any] = {"prompt": PROMPT, "steps": 4, "cfgscale": 1.0}
STRENGTH = 0.8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wide")


@pytest.fixture(scope="module")
def dev(folder: Path) -> ModelFile:
    return model(DEV, DEV.make(folder, layout="single"))


def tool(seed: int = 3, strength: float = STRENGTH) -> tuple[Tensors, Tensors]:
    """A LoRA as Black Forest Labs writes them, and the model's tensors with it, by their original names."""
    numbers = torch.Generator().manual_seed(seed)
    lora: Tensors = {}
    wide = {name: tensor.float() for name, tensor in DEV.original().items()}
    img_in = wide["img_in.weight"]
    wide["img_in.weight"] = torch.cat([img_in, torch.zeros_like(img_in)], dim=1)
    for name in list(wide):
        module, _, leaf = name.rpartition(".")
        if leaf == "scale":
            wide[name] = lora[name] = 1 + torch.randn(wide[name].shape, generator=numbers) * 0.2
        elif leaf == "weight":
            outputs, inputs = wide[name].shape
            down = torch.randn(4, inputs, generator=numbers) * inputs**-0.5
            up = torch.randn(outputs, 4, generator=numbers) * 0.2
            bias = torch.randn(outputs, generator=numbers) * 0.1
            lora |= {f"{module}.lora_A.weight": down, f"{module}.lora_B.weight": up, f"{module}.lora_B.bias": bias}
            wide[name] = wide[name] + up @ down * strength
            wide[f"{module}.bias"] = wide[f"{module}.bias"] + bias * strength
    return lora, wide


def saved(tensors: Tensors, path: Path, weight: float = STRENGTH) -> tuple[LoraUse, ...]:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return (LoraUse(file=file_of(path), weight=weight, text_weight=weight),)


@pytest.fixture(scope="module")
def depth(folder: Path) -> tuple[LoraUse, ...]:
    return saved(tool()[0], folder / "flux1-depth-dev-lora.safetensors")


def expected(wide: Tensors) -> torch.Tensor:
    """diffusers' picture along `picture()`."""
    network = FluxTransformer2DModel.from_config({**DEV.config(), "in_channels": 128})
    pipe = given(pipeline(FluxControlPipeline, True, filled(network, convert(wide))), TABLE, 4)
    pipe.set_progress_bar_config(disable=True)
    levels = torch.frombuffer(bytearray(opened(picture(), 64, 64).tobytes()), dtype=torch.uint8).reshape(1, 64, 64, 3)
    with torch.inference_mode():
        plain = flux_vae().encode(levels.permute(0, 3, 1, 2) / 127.5 - 1).latent_dist.mode()
    result = pipe(
        prompt=PROMPT.replace("(blue house:1.0)", "blue house"), control_image=packed((plain - 0.1159) * 0.3611),
        guidance_scale=3.5, height=64, width=64, num_inference_steps=4, latents=packed(noise(7)),
        max_sequence_length=256, output_type="pt",
    )  # fmt: skip
    return pixels(result)


def test_a_picture_is_the_pipelines_picture(bench: Bench, dev: ModelFile, depth: tuple[LoraUse, ...]) -> None:
    before = bench.picture(dev, 7, **ASKED)
    found = bench.picture(dev, 7, **ASKED, loras=depth, initimage=picture())
    wanted = expected(tool()[1])
    assert (found - wanted).abs().max() <= 2.0
    assert wanted.std() > 1.0
    assert (found - bench.picture(dev, 7, **ASKED, loras=depth, initimage=picture(9))).abs().max() > 2.0
    network: Any = bench.models.loaded(dev, {}).components.denoiser
    assert is_led(network)
    assert torch.equal(bench.picture(dev, 7, **ASKED), before)
    assert not is_led(network)
    assert not network.x_embedder._forward_hooks
    assert not network.x_embedder._forward_pre_hooks


def test_two_of_them_add_up(bench: Bench, dev: ModelFile, depth: tuple[LoraUse, ...], folder: Path) -> None:
    halves = (
        LoraUse(file=depth[0].file, weight=0.5, text_weight=0),
        LoraUse(file=depth[0].file, weight=0.3, text_weight=0),
    )
    found = bench.picture(dev, 7, **ASKED, loras=halves, initimage=picture())
    assert (found - bench.picture(dev, 7, **ASKED, loras=depth, initimage=picture())).abs().max() <= 1.0


def test_without_a_picture_nothing_leads(bench: Bench, dev: ModelFile, depth: tuple[LoraUse, ...]) -> None:
    """As depth models draw without one; and pictures with and without the LoRA keep apart."""
    wishes: list[dict[str, Any]] = [{"loras": depth}, {}, {"loras": depth, "initimage": picture()}]
    alone = [bench.picture(dev, 7, **ASKED, **wish) for wish in wishes]
    ids = [bench.submit(dev, (7,), **ASKED, **wish) for wish in wishes]
    bench.finish()
    for id, one in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - one).abs().max() <= 1.0
    assert (alone[0] - alone[2]).abs().max() > 2.0


def test_diffusers_names_are_read_too(bench: Bench, dev: ModelFile, folder: Path) -> None:
    tensors = {
        f"transformer.x_embedder.lora_{part}.weight": value
        for part, value in (("A", torch.randn(4, 128) * 0.1), ("B", torch.randn(64, 4)))
    }
    named = saved(tensors, folder / "diffusers.safetensors")
    ours = {name.replace("transformer.x_embedder", "diffusion_model.img_in"): value for name, value in tensors.items()}
    original = saved(ours, folder / "original.safetensors")
    made = [bench.picture(dev, 7, **ASKED, loras=loras, initimage=picture()) for loras in (named, original)]
    assert torch.equal(*made)
    assert (made[0] - bench.picture(dev, 7, **ASKED)).abs().max() > 2.0


def test_every_part_of_the_file_is_read(depth: tuple[LoraUse, ...]) -> None:
    found = read_lora(depth[0].file.path)
    assert sum(map(len, found.values())) == len(tool()[0])
    assert set(found["unet_img_in"]) == {"down", "up", "bias"}
    assert set(found["unet_single_blocks_0_norm_key_norm"]) == {"instead"}


def test_refusals(
    bench: Bench, dev: ModelFile, files: Mapping[str, ModelFile], depth: tuple[LoraUse, ...], folder: Path
) -> None:
    def refused(of: ModelFile, loras: tuple[LoraUse, ...]) -> str:
        id = bench.submit(of, (3,), **ASKED, loras=loras)
        bench.finish()
        return bench.failure(id).sentence

    fill = model(FILL, FILL.make(folder, layout="single"))
    assert "does not fit the model" in refused(fill, depth)
    assert "does not fit the model" in refused(files[SD], depth)
    odd = {"img_in.lora_A.weight": torch.zeros(2, 100), "img_in.lora_B.weight": torch.zeros(64, 2)}
    assert "x_embedder has another shape" in refused(dev, saved(odd, folder / "odd.safetensors"))
