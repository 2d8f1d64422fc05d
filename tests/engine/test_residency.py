"""Where weights are: chosen from the device's memory, the same pictures wherever they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from swarm.engine.attending.kept import KeptProjection
from swarm.engine.device import Device, choose_device
from swarm.engine.memory import file_key
from swarm.engine.parking import rest, wake
from swarm.engine.residency import Residency, choose, offload_blocks, take_blocks_home
from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, XL, new_bench

pytestmark = pytest.mark.torch
GIGABYTE = 1024**3


def card(gigabytes: int) -> Device:
    plain = choose_device(0, "auto")
    return replace(plain, place=torch.device("cuda", 0), memory=gigabytes * GIGABYTE)


@pytest.mark.parametrize(
    ("memory", "denoiser", "rest", "expected"),
    [
        (24, 5, 2, Residency.FULL),
        (24, 12, 10, Residency.BALANCED),
        (8, 12, 10, Residency.LOW),
        (6, 2, 1, Residency.FULL),
        (6, 3, 2, Residency.BALANCED),
    ],
)
def test_as_much_stays_on_the_device_as_fits(memory: int, denoiser: int, rest: int, expected: Residency) -> None:
    chosen = choose("auto", card(memory), denoiser=denoiser * GIGABYTE, rest=rest * GIGABYTE)
    assert chosen is expected
    assert choose("low", card(memory), denoiser=0, rest=0) is Residency.LOW


@pytest.mark.parametrize(("memory", "expected"), [(8, Residency.BALANCED), (6, Residency.LOW), (24, Residency.FULL)])
def test_a_large_unet_stays_on_a_small_card(memory: int, expected: Residency) -> None:
    """Stable Diffusion XL in float16: 4.8 GB of UNet, 1.5 GB of text encoders, 0.2 GB of VAE."""
    sizes = {"denoiser": 49 * GIGABYTE // 10, "rest": 17 * GIGABYTE // 10, "visitor": 15 * GIGABYTE // 10}
    assert choose("auto", card(memory), **sizes) is expected


def test_visitors_need_room_beside_the_denoiser() -> None:
    sizes = {"denoiser": 22 * GIGABYTE, "rest": 10 * GIGABYTE}
    assert choose("auto", card(24), **sizes, visitor=9 * GIGABYTE) is Residency.LOW
    assert choose("auto", card(32), **sizes, visitor=9 * GIGABYTE) is Residency.BALANCED
    assert choose("auto", card(48), **sizes, visitor=9 * GIGABYTE) is Residency.FULL


def test_the_processor_keeps_everything_unless_asked() -> None:
    device = choose_device(0, "auto")
    assert choose("auto", device, denoiser=10**15, rest=0) is Residency.FULL
    assert choose("balanced", device, denoiser=0, rest=0) is Residency.BALANCED


@pytest.mark.parametrize("residency", ["balanced", "low"])
@pytest.mark.parametrize("family", [SD, XL])
def test_pictures_are_the_same_wherever_the_weights_rest(
    files: Mapping[str, ModelFile], family: str, residency: str
) -> None:
    with torch.inference_mode():
        expected = new_bench().picture(files[family], 3)
        bench = new_bench(residency=residency)
        assert torch.equal(bench.picture(files[family], 3), expected)
        assert torch.equal(bench.picture(files[family], 3), expected)
        components = bench.models.loaded(files[family], {}).components
    assert components.residency is Residency(residency)
    assert bench.models.drop_others(None)


def test_a_parked_model_comes_back_as_it_was(files: Mapping[str, ModelFile]) -> None:
    with torch.inference_mode():
        bench = new_bench()
        expected = bench.picture(files[SD], 3)
        components = bench.models.loaded(files[SD], {}).components
        rest(components)
        wake(components, bench.models.device)
        assert torch.equal(bench.picture(files[SD], 3), expected)


def test_weights_stored_in_eight_bits_take_less_room_and_draw_nearly_the_same(files: Mapping[str, ModelFile]) -> None:
    with torch.inference_mode():
        plain = new_bench()
        expected = plain.picture(files[SD], 3, steps=4)
        small = new_bench(device=choose_device(0, "float8"))
        found = small.picture(files[SD], 3, steps=4)
        denoisers = [bench.models.loaded(files[SD], {}).components.denoiser for bench in (plain, small)]
    sizes = [sum(weight.nbytes for weight in denoiser.parameters()) for denoiser in denoisers]
    assert sizes[1] < 0.5 * sizes[0]
    assert 0 < (found - expected).abs().mean() < 12.0


class Parking(Device):
    """A device with room for one model, beside a main memory with room for more: a GPU's way, on the processor."""

    @property
    def is_cuda(self) -> bool:
        return True

    def free_memory(self) -> int:
        return 0

    def give_back(self) -> None:
        pass


def test_models_that_make_room_are_parked_and_come_back_without_the_disk(files: Mapping[str, ModelFile]) -> None:
    with torch.inference_mode():
        bench = new_bench(device=Parking(**vars(choose_device(0, "auto"))), residency="full")
        first = bench.models.loaded(files[SD], {})
        weights = first.components.denoiser.get_parameter("conv_in.weight").clone()
        layers = [module.__dict__.get("forward") for module in first.components.denoiser.modules()]
        kept = [layer for layer in layers if isinstance(layer, KeptProjection)]
        tokens = torch.zeros(2, 77, 32)
        kept[0].keeper.keep(tokens)
        kept[0](tokens)
        assert kept[0].holds
        bench.models.loaded(files[XL], {})
        assert not any(layer.holds for layer in kept)
        assert not bench.models.is_loaded(file_key(files[SD], {}))
        again = bench.models.loaded(files[SD], {})
    assert again is first
    assert torch.equal(again.components.denoiser.get_parameter("conv_in.weight"), weights)
    assert bench.models.drop_others(None)


def test_blocks_that_a_call_left_on_the_device_are_taken_home() -> None:
    """The device is torch's `meta`, from which nothing comes back: it says so when it is asked."""
    blocks = torch.nn.ModuleList([torch.nn.Linear(2, 2) for _ in range(3)])
    offload_blocks(torch.nn.ModuleDict({"blocks": blocks}), choose_device(0, "auto"))
    take_blocks_home(blocks)
    blocks[1].to("meta")
    with pytest.raises(NotImplementedError, match="meta tensor"):
        take_blocks_home(blocks)
