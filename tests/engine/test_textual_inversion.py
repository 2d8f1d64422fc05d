"""Textual inversions: learned vectors in the place of words, read from every layout, leaving the encoders alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from swarm.base.errors import BadInput
from swarm.engine.components import TextOptions
from swarm.engine.words.inversions import Placed
from swarm.engine.words.text import ClipText, clip_chunks
from swarm.engine.words.tokenizer import clip_tokenizer
from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, XL, Bench
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch


def written(path: Path, tensors: Mapping[str, torch.Tensor]) -> ModelFile:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


def word_vectors(tiny: Tiny, words: str) -> list[torch.Tensor]:
    """What the encoders' tables say of some words: an inversion of these must be the words themselves."""
    ids = clip_tokenizer()(words, add_special_tokens=False).input_ids
    return [getattr(text, "text_model", text).embeddings.token_embedding.weight[ids].detach() for text in tiny.text]


def encoded(bench: Bench, file: ModelFile, text: str, **embeddings: ModelFile) -> torch.Tensor:
    encoder = bench.models.loaded(file, {}).components.text
    assert isinstance(encoder, ClipText)
    found: torch.Tensor = encoder.encode(text, TextOptions(embeddings=tuple(sorted(embeddings.items())))).tokens
    return found


@pytest.mark.parametrize("layout", ["emb_params", "<anything>", "clip_l"])
def test_an_inversion_of_words_is_those_words(
    bench: Bench, files: Mapping[str, ModelFile], tiny: Mapping[str, Tiny], path: Path, layout: str
) -> None:
    (vectors,) = word_vectors(tiny[SD], "red house")
    file = written(path / "mine.safetensors", {layout: vectors})
    for spoken, plain in (
        ("a <embed:mine> at night", "a red house at night"),
        ("a (<embed:mine>:1.4) at night", "a (red house:1.4) at night"),
        ("a fox <break> <embed:mine>", "a fox <break> red house"),
    ):
        made = encoded(bench, files[SD], spoken, mine=file)
        assert (made - encoded(bench, files[SD], plain)).abs().max() < 1e-5
    model: Any = bench.models.loaded(files[SD], {}).components.text_modules[0]
    assert not getattr(model, "text_model", model).embeddings.token_embedding._forward_hooks


def test_xl_files_speak_to_both_encoders(
    bench: Bench, files: Mapping[str, ModelFile], tiny: Mapping[str, Tiny], path: Path
) -> None:
    small, big = word_vectors(tiny[XL], "red house")
    file = written(path / "both.safetensors", {"clip_l": small, "clip_g": big})
    made = encoded(bench, files[XL], "a <embed:both>", both=file)
    assert (made - encoded(bench, files[XL], "a red house")).abs().max() < 1e-5


def test_chunks_keep_the_vectors_together(path: Path) -> None:
    file = written(path / "six.safetensors", {"emb_params": torch.randn(6, 32)})
    options = TextOptions(embeddings=(("odd (name)", file),))
    first, second = clip_chunks(("cat " * 72) + "<embed:odd (name)> dog", clip_tokenizer(), options)
    assert len(first.ids) == 72
    assert second.ids[:6] == tuple(Placed(file, row) for row in range(6))
    assert len(second.ids) == 7


def test_unknown_names_are_no_words(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    made = encoded(bench, files[SD], "a <embed:gone>fox")
    assert torch.equal(made, encoded(bench, files[SD], "a fox"))


def test_pictures_hear_it(bench: Bench, files: Mapping[str, ModelFile], tiny: Mapping[str, Tiny], path: Path) -> None:
    (vectors,) = word_vectors(tiny[SD], "red house")
    file = written(path / "mine.safetensors", {"emb_params": vectors})
    named = {"files": {"embedding:mine": file}}
    plain = bench.picture(files[SD], 3, prompt="a red house", negativeprompt="fox")
    assert (
        bench.picture(files[SD], 3, prompt="a <embed:mine>", negativeprompt="fox", **named) - plain
    ).abs().max() <= 1
    other = bench.picture(files[SD], 3, prompt="a red house", negativeprompt="<embed:mine>", **named)
    assert (other - plain).abs().max() > 1


def test_refusals(bench: Bench, files: Mapping[str, ModelFile], path: Path) -> None:
    wide = written(path / "wide.safetensors", {"emb_params": torch.zeros(2, 48)})
    with pytest.raises(BadInput, match=r"its vectors have 48 numbers, this model's text encoder \(clip_l\) wants 32"):
        encoded(bench, files[SD], "<embed:wide>", wide=wide)
    many = written(path / "many.safetensors", {"a": torch.zeros(2), "b": torch.zeros(2)})
    with pytest.raises(BadInput, match="holds no embedding"):
        encoded(bench, files[SD], "<embed:many>", many=many)
    pickled = path / "old.pt"
    pickled.write_bytes(b"PK\x03\x04" + bytes(32))
    old = ModelFile(name="old.pt", path=pickled, family=None, stamp="1")
    with pytest.raises(BadInput, match="Pickle2SafeTensor converts it"):
        encoded(bench, files[SD], "<embed:old>", old=old)
    id = bench.submit(files[SD], (3,), prompt="<embed:wide>", files={"embedding:wide": wide})
    bench.finish()
    assert "another kind of model" in bench.failure(id).sentence
