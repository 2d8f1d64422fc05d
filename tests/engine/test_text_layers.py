"""A request's layer with encoders that are language models: what that layer says, without the last norm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaTokenizer

from swarm.engine.words.text_gemma import GemmaEncoder
from swarm.engine.words.text_language import LanguageEncoder, Template
from swarm.engine.words.text_layers import layer_states
from swarm.engine.words.text_pile import PileEncoder
from swarm.engine.words.tokenizer import qwen_tokenizer
from tests.engine.conftest import Bench
from tests.engine.family_checks import drawn
from tests.engine.flow_oracle import companions, model
from tests.support.tiny import auraflow, encoders, flux_2, lumina_2, qwen_image, sana, z_image
from tests.support.tiny.family import TinyFamily

pytestmark = pytest.mark.torch
CPU = torch.device("cpu")
TEXT = "a red fox in the snow"
IDS = torch.tensor([[5, 9, 30, 12]])
MODELS: dict[str, Callable[[], Any]] = {
    "Qwen 3": encoders.qwen3,
    "Qwen 2.5 VL": lambda: encoders.qwen2_5_vl().model.language_model,
    "Gemma 2": encoders.gemma2,
}


def said(model: Any, **given: Any) -> list[torch.Tensor]:
    """What each layer says."""
    heard: list[torch.Tensor] = []

    def hear(_layer: Any, _inputs: Any, output: Any) -> None:
        heard.append(output[0] if isinstance(output, tuple) else output)

    hooks = [layer.register_forward_hook(hear) for layer in model.layers]
    model(**given, use_cache=False)
    for hook in hooks:
        hook.remove()
    return heard


@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_layers_are_counted_from_the_end(name: str) -> None:
    language = MODELS[name]()
    inner = getattr(language, "model", language)
    layers = said(inner, input_ids=IDS)
    for number, expected in enumerate(reversed(layers), 1):
        assert torch.equal(layer_states(inner, -number, input_ids=IDS), expected)
    last = layer_states(inner, None, input_ids=IDS)
    assert torch.equal(last, inner.norm(layers[-1]))
    assert torch.equal(layer_states(inner, -len(layers) - 1, input_ids=IDS), last)
    assert not torch.allclose(last, layers[-1], atol=1e-3)


@torch.inference_mode()
def test_encoders_read_the_layer_that_is_asked() -> None:
    language = encoders.qwen3()
    words, template = getattr(language, "model", language), Template(before="<", after=">")

    def one(layers: tuple[int, ...], layer: int | None) -> torch.Tensor:
        return LanguageEncoder(words, qwen_tokenizer(), CPU, template, layers=layers).encode(TEXT, layer)

    assert torch.equal(one((-2,), None), one((), -2))
    assert torch.equal(one((-2,), -1), one((), -1))
    assert not torch.allclose(one((), None), one((), -1), atol=1e-3)
    assert torch.equal(one((1, 2), -1), one((1, 2), None))

    gemma = GemmaEncoder(encoders.gemma2(), lumina_2.gemma_tokenizer(), CPU, longest=64)
    assert torch.equal(gemma.encode(TEXT), gemma.encode(TEXT, layer=-2))
    assert not torch.allclose(gemma.encode(TEXT), gemma.encode(TEXT, layer=-1), atol=1e-3)


@torch.inference_mode()
def test_pile_t5_norms_every_layer_as_t5_does() -> None:
    pile = encoders.pile_t5()
    tokenizer = encoders.pieces_tokenizer(LlamaTokenizer, prefixed=True, start=False, end=True)
    encoder = PileEncoder(pile, tokenizer, CPU)
    heard: list[torch.Tensor] = []
    hook = pile.encoder.block[-2].register_forward_hook(lambda _block, _given, output: heard.append(output))
    before = encoder.encode(TEXT, -2)
    hook.remove()
    assert torch.equal(before, pile.encoder.final_layer_norm(heard[0]))
    assert torch.equal(encoder.encode(TEXT, -1), encoder.encode(TEXT))


@pytest.mark.parametrize(
    ("family", "layer", "counts"),
    [(z_image.Z_IMAGE, -1, True), (qwen_image.IMAGE, -2, True), (lumina_2.LUMINA, -1, True),
     (auraflow.AURAFLOW, -2, True), (flux_2.KLEIN, -2, False), (sana.SANA, -2, False)],
    ids=lambda value: getattr(value, "id", ""),
)  # fmt: skip
def test_a_request_names_the_layer(bench: Bench, tmp_path: Path, family: TinyFamily, layer: int, counts: bool) -> None:
    file, parts = model(family, family.make(tmp_path, layout="bare")), companions(family, tmp_path)
    wish: dict[str, Any] = {"prompt": TEXT, "steps": 2, "cfgscale": 3.0}
    plain = drawn(bench, file, parts, 1, wish)
    other = drawn(bench, file, parts, 1, {**wish, "clipstopatlayer": layer})
    assert bool((other - plain).abs().max() > 1.0) is counts
