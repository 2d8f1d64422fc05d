"""Linear layers through oneDNN: the same numbers, and only where they are float32 on a CPU and large enough."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.nn.functional import linear

from swarm.engine import products
from swarm.engine.device import choose_device
from tests.engine.far import FAR
from tests.support.tiny_models import tiny_sdxl

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def as_torch_has_it() -> Iterator[None]:
    yield
    torch.nn.Linear.forward = products._plain  # type: ignore[method-assign]
    torch.backends.mkldnn.set_flags(True)  # type: ignore[no-untyped-call]


def _layer(inputs: int, outputs: int, *, bias: bool = True) -> torch.nn.Linear:
    torch.manual_seed(3)
    return torch.nn.Linear(inputs, outputs, bias=bias)


@pytest.mark.parametrize("shape", [(16, 64, 64), (2, 77, 64), (4096, 64), (1, 3, 300, 64)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_same_numbers(shape: tuple[int, ...], bias: bool) -> None:
    layer, numbers = _layer(64, 512, bias=bias), torch.randn(shape)
    with torch.inference_mode():
        ours = products.through_onednn(layer, numbers)
        expected = linear(numbers.double(), layer.weight.double(), None if layer.bias is None else layer.bias.double())
    assert ours.shape == expected.shape and ours.dtype is torch.float32
    torch.testing.assert_close(ours.double(), expected, atol=2e-5, rtol=1e-5)


def test_numbers_that_lie_apart() -> None:
    layer, numbers = _layer(64, 512), torch.randn(64, 16, 64).transpose(0, 1)
    with torch.inference_mode():
        torch.testing.assert_close(products.through_onednn(layer, numbers), products._plain(layer, numbers))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_formats_go_torchs_way(dtype: torch.dtype) -> None:
    layer, numbers = _layer(64, 512).to(dtype), torch.randn(1024, 64, dtype=dtype)
    with torch.inference_mode():
        assert torch.equal(products.through_onednn(layer, numbers), linear(numbers, layer.weight, layer.bias))


def test_numbers_elsewhere_and_few_numbers_do_not_suit() -> None:
    weight = torch.zeros(512, 64)
    assert products._suits(torch.zeros(1024, 64), weight)
    assert not products._suits(torch.zeros(1024, 64, device="meta"), weight.to("meta"))
    assert not products._suits(torch.zeros(8, 64), weight)
    assert not products._suits(torch.zeros(products.LEAST_ROWS - 1, 4096), torch.zeros(4096, 4096))


def test_gradients_are_still_found() -> None:
    layer, numbers = _layer(64, 512), torch.randn(1024, 64)
    torch.autograd.backward(products.through_onednn(layer, numbers).sum())
    assert layer.weight.grad is not None


def test_a_network_answers_the_same() -> None:
    unet = tiny_sdxl().unet
    width = unet.config.projection_class_embeddings_input_dim - 6 * unet.config.addition_time_embed_dim
    added = {"text_embeds": torch.randn(8, width), "time_ids": torch.ones(8, 6)}
    given = torch.randn(8, 4, 16, 16), torch.full((8,), 500.0), torch.randn(8, 77, unet.config.cross_attention_dim)
    with torch.inference_mode():
        before = unet(*given, added_cond_kwargs=added).sample
        torch.nn.Linear.forward = products.through_onednn  # type: ignore[method-assign,assignment]
        after = unet(*given, added_cond_kwargs=added).sample
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)


def test_the_quicker_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = choose_device(0, "auto")
    monkeypatch.setattr(products, "_WORTH", 0.0)
    assert products.use(cpu) and torch.nn.Linear.forward is products.through_onednn
    monkeypatch.setattr(products, "_WORTH", 1e9)
    assert not products.use(cpu) and torch.nn.Linear.forward is products._plain
    monkeypatch.setattr(products, "_WORTH", 0.0)
    assert not products.use(FAR) and torch.nn.Linear.forward is products._plain


def test_onednn_is_left_where_it_makes_nothing_new_any_more() -> None:
    """What it says then, and how it goes on, is shown by tests/faults/test_engine.py in a process without memory."""
    layer, numbers = _layer(64, 512), torch.randn(1024, 64)
    torch.nn.Linear.forward = products.through_onednn  # type: ignore[method-assign,assignment]
    assert not products.leave_onednn_after(RuntimeError("can't allocate memory"))
    assert torch.backends.mkldnn.enabled
    assert products.leave_onednn_after(RuntimeError("could not create a primitive"))
    assert not torch.backends.mkldnn.enabled and torch.nn.Linear.forward is products._plain
    assert not products.leave_onednn_after(RuntimeError("could not create a primitive"))
    with torch.inference_mode():
        assert torch.equal(layer(numbers), linear(numbers, layer.weight, layer.bias))
