"""Prompts of whole pipelines: without syntax just as the pipeline encodes them, weights and breaks as ComfyUI reads
them, and nothing encoded twice."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module

from swarm.engine.whole.prompting import Heard, prepared
from swarm.engine.whole.wish import Wish
from swarm.jobs.job import ModelFile
from swarm.params.input import GenerationInput
from tests.engine.conftest import Bench
from tests.engine.test_videos import result, run
from tests.support.tiny import video

pytestmark = pytest.mark.torch
SHORT = {"template": "say: {}.", "crop_start": 3}
"""The usual template is longer than Hunyuan hears where every letter is a token."""


@pytest.fixture(scope="module")
def pipes() -> dict[str, Any]:
    torch.manual_seed(0)
    made = {name: video.FAMILIES[name]() for name in ("wan", "wan_picture", "ltx", "hunyuan", "cog")}
    made["hunyuan"].tokenizer.padding_side = "right"
    return made


def shell(pipe: Any) -> Any:
    return type(pipe)(**pipe.components)


def heard(pipe: Any, prompt: str, negative: str = "", memory: Heard | None = None, state: str = "") -> Any:
    """What a pipeline's prompts are encoded as; Hunyuan is told one at a time."""
    own = shell(pipe)
    wish = Wish(
        prompt=prompt, negative=negative, steps=4, cfg=2.0, width=64, height=64, seed=1, input=GenerationInput()
    )
    told, _changes = prepared(own, wish, OrderedDict() if memory is None else memory, state)
    if "negative_prompt" not in type(pipe).encode_prompt.__code__.co_varnames:
        return own.encode_prompt(told.prompt, prompt_template=SHORT)
    return own.encode_prompt(prompt=told.prompt, negative_prompt=told.negative)


def same(found: Any, wanted: Any) -> bool:
    return len(found) == len(wanted) and all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize("name", ["wan", "ltx", "hunyuan", "cog"])
def test_plain_prompts_are_encoded_as_ever(pipes: dict[str, Any], name: str) -> None:
    pipe = pipes[name]
    more: Any = {"prompt_template": SHORT} if name == "hunyuan" else {"negative_prompt": "snow"}
    assert same(heard(pipe, "a red fox", "snow"), pipe.encode_prompt("a red fox", **more))
    assert same(heard(pipe, "a \\(red\\) fox", "snow"), pipe.encode_prompt("a (red) fox", **more))
    assert "forward" not in pipe.text_encoder.__dict__


@pytest.mark.parametrize("name", ["wan", "ltx", "cog"])
def test_words_are_moved_from_the_empty_prompt(pipes: dict[str, Any], name: str) -> None:
    """Spaces around a group are tokens of their own, as in ComfyUI: pieces are tokenized one by one."""
    pipe = pipes[name]
    found = heard(pipe, "a (red:1.5)", "(snow:0.5)")
    tokens = pipe.tokenizer
    pieces = [tokens(text, add_special_tokens=False).input_ids for text in ("a ", "red")]
    strong = torch.tensor([1.0] * len(pieces[0]) + [1.5] * len(pieces[1]))
    equal = heard(pipe, "a (red:1.0)")[0]
    empty = pipe.encode_prompt("")[0]
    weights = torch.ones(1, equal.shape[1], 1)
    weights[0, : len(strong), 0] = strong
    torch.testing.assert_close(found[0], empty + (equal - empty) * weights)
    assert torch.equal(found[0][:, : len(pieces[0])], equal[:, : len(pieces[0])])
    other = found[1] if name != "ltx" else found[2]
    length = len(tokens("snow", add_special_tokens=False).input_ids)
    plain = pipe.encode_prompt("snow")[0]
    torch.testing.assert_close(other[:, :length], (empty + (plain - empty) * 0.5)[:, :length])
    assert torch.equal(other[:, length:], plain[:, length:])


def test_clip_s_summary_knows_no_weights(pipes: dict[str, Any]) -> None:
    words, summary, mask = heard(pipes["hunyuan"], "a (red:1.5) fox")
    plain = heard(pipes["hunyuan"], "a (red:1.0) fox")
    assert torch.equal(summary, plain[1])
    assert torch.equal(mask, plain[2])
    moved = (words != plain[0]).any(dim=-1)[0]
    assert int(moved.sum()) == len(pipes["hunyuan"].tokenizer("red", add_special_tokens=False).input_ids)


def test_the_parts_between_breaks_follow_one_another(pipes: dict[str, Any]) -> None:
    wan, cog, hunyuan = pipes["wan"], pipes["cog"], pipes["hunyuan"]
    parts = [wan.encode_prompt(text)[0] for text in ("a fox", "snow")]
    assert torch.equal(heard(wan, "a fox <break> snow")[0], torch.cat(parts, dim=1))
    positive, negative = heard(cog, "a<break>b", "rain")
    assert positive.shape == negative.shape
    assert torch.equal(negative, torch.cat([cog.encode_prompt("rain")[0]] * 2, dim=1))
    words, _summary, mask = heard(hunyuan, "a fox<break>snow")
    first, second = (hunyuan.encode_prompt(text, prompt_template=SHORT) for text in ("a fox", "snow"))
    count = [int(each[2].sum()) for each in (first, second)]
    assert mask[0].tolist() == [1] * sum(count) + [0] * (mask.shape[1] - sum(count))
    assert torch.equal(words[:, : count[0]], first[0][:, : count[0]])
    assert torch.equal(words[:, count[0] : sum(count)], second[0][:, : count[1]])
    # A network that knows how long a prompt is hears both parts as one.
    assert same(heard(pipes["wan_picture"], "a <break>b"), pipes["wan_picture"].encode_prompt("a b"))


def test_a_prompt_that_changes_is_the_one_it_begins_with(pipes: dict[str, Any]) -> None:
    assert same(heard(pipes["wan"], "a [fox:dog:0.5]"), pipes["wan"].encode_prompt("a fox"))


class Awake(ModelHook):  # type: ignore[misc]
    """Stands for what brings an encoder from main memory: counts how often."""

    times = 0

    def pre_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        self.times += 1
        return args, kwargs


def test_a_prompt_is_encoded_once(pipes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    pipe, memory, awake = video.wan(), OrderedDict[Any, Any](), Awake()
    add_hook_to_module(pipe.text_encoder, awake)
    hooked = pipe.text_encoder.forward
    first = heard(pipe, "a (red:1.2) fox", "snow", memory)
    times = awake.times
    assert times == 3  # the prompt, the empty one beside it, and the negative one
    assert same(heard(pipe, "a (red:1.2) fox", "snow", memory), first)
    assert awake.times == times
    assert not same(heard(pipe, "a (red:1.3) fox", "snow", memory), first)
    heard(pipe, "a (red:1.2) fox", "snow", memory, state="a LoRA")
    assert awake.times == 3 * times
    assert pipe.text_encoder.forward is hooked


def test_a_clip_heeds_weights(bench: Bench, tmp_path: Path) -> None:
    file = ModelFile(name="wan", path=video.save("wan", tmp_path), family=None, stamp="1")
    clips = [result(run(bench, file, prompt=f"a (fox:{weight})")).data for weight in (0.3, 1.0, 1.0, 2.0)]
    assert clips[1] == clips[2]
    assert len(set(clips)) == 3


@pytest.mark.parametrize("name", ["wan", "ltx", "hunyuan", "cog"])
def test_a_clip_heeds_prompts_that_change(bench: Bench, tmp_path: Path, name: str) -> None:
    """What counts for no step changes nothing, and what counts for all of them is the prompt."""
    file = ModelFile(name=name, path=video.save(name, tmp_path), family=None, stamp="1")

    def clip(prompt: str, negative: str = "rain") -> bytes:
        found: bytes = result(run(bench, file, prompt=prompt, negativeprompt=negative, steps=4, cfgscale=3.0)).data
        return found

    fox, dog, both = clip("a fox"), clip("a dog"), clip("a [fox:dog:0.5]")
    assert clip("a [fox:dog:4]") == fox
    assert clip("a [fox:dog:0]") == dog
    assert len({fox, dog, both, clip("a [fox|dog]"), clip("a [dog:fox:0.5]")}) == 5
    if name != "hunyuan":
        assert clip("a fox", "[rain:snow:0.5]") not in (fox, clip("a fox", "snow"))
