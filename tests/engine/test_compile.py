"""The denoiser's blocks compiled, and attention by a named kernel: the same pictures, and no trace left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from swarm.engine import attention
from swarm.engine.device import choose_device
from swarm.features.torch_compile import repeated_blocks
from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, Bench

pytestmark = pytest.mark.torch
BASE: dict[str, Any] = {"steps": 2, "cfgscale": 5.0, "width": 64, "height": 64}


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_a_compiled_model_makes_the_same_picture(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    plain = bench.picture(files[SD], 3, **BASE)
    torch._dynamo.utils.counters.clear()
    compiled = bench.picture(files[SD], 3, **BASE, torchcompile="inductor")
    assert torch._dynamo.utils.counters["inductor"], "nothing was compiled"
    assert (compiled - plain).abs().max() <= 1.0
    assert torch.equal(bench.picture(files[SD], 3, **BASE), plain)
    made = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert (bench.picture(files[SD], 3, **BASE, torchcompile="inductor") - plain).abs().max() <= 1.0
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == made, "it was compiled twice"


def test_networks_that_name_no_blocks_have_those_of_their_lists() -> None:
    class Unnamed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Linear(2, 2)
            self.blocks = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])

    network = Unnamed()
    assert list(repeated_blocks(network)) == list(network.blocks)


def test_attention_uses_the_kernel_that_is_named() -> None:
    device = choose_device(0, "float32")
    numbers = torch.zeros(1, 2, 64, 64)
    try:
        found = attention.use("math", device)
        assert {"flash", "math"} <= set(found)
        assert _kernel(numbers) == "math"
        attention.use("auto", device)
        assert _kernel(numbers) == "flash"
    finally:
        attention.use("auto", device)


def test_a_kernel_that_does_not_run_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    device = choose_device(0, "float32")
    attention.use("cudnn", device)
    assert "cudnn" in caplog.text
    assert "does not run on CPU" in caplog.text
    assert _kernel(torch.zeros(1, 2, 64, 64)) == "flash"


def _kernel(numbers: torch.Tensor) -> str:
    names = {int(getattr(torch.nn.attention.SDPBackend, name)): short for name, short in _NAMES.items()}
    return names[torch._fused_sdp_choice(numbers, numbers, numbers)]


_NAMES = {"MATH": "math", "FLASH_ATTENTION": "flash", "EFFICIENT_ATTENTION": "efficient"}
