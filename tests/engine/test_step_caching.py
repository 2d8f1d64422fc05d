"""Blocks left out: fewer of them run, the picture stays near, and nobody else's picture changes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from swarm.engine.chains import Memory
from swarm.engine.components import Row, TextOptions
from swarm.engine.first_block import FirstBlock
from swarm.engine.latents import seeded_noise
from swarm.engine.runner import Model
from swarm.features.step_caching import Patience
from swarm.jobs.events import ImageDone
from swarm.jobs.job import LoraUse, ModelFile
from swarm.jobs.stage import Control
from swarm.media.clip import Clip
from tests.engine.conftest import SD, XL, Bench, new_bench
from tests.engine.flow_oracle import companions, model
from tests.engine.test_lora import ATTENTION, KOHYA, lora
from tests.support.tiny import auraflow, chroma, flux, flux_2, lumina_2, pixart, qwen_image, sana, video
from tests.support.tiny import stable_diffusion_3 as sd_3
from tests.support.tiny import z_image as z
from tests.support.tiny.family import TinyFamily

pytestmark = pytest.mark.torch
TRANSFORMERS = (
    auraflow.AURAFLOW, chroma.CHROMA, flux.DEV, flux_2.DEV, lumina_2.LUMINA, pixart.SIGMA, qwen_image.IMAGE,
    sana.SANA, sd_3.LARGE, z.Z_IMAGE,
)  # fmt: skip
CFG: dict[str, Any] = {"prompt": "a cat", "negativeprompt": "blue", "cfgscale": 4.0}
ALWAYS = {"balanced": Patience(change=1e9, in_a_row=1), "fast": Patience(change=1e9, in_a_row=3)}
"""Whatever changes, so much is left out; tiny networks of random weights change more than trained ones."""


def ready(bench: Bench, file: ModelFile, parts: Mapping[str, ModelFile] | None = None) -> tuple[Model, FirstBlock]:
    loaded = bench.models.loaded(file, parts or {})
    assert loaded.first_block is not None
    return loaded, loaded.first_block


@contextmanager
def counted(first_block: FirstBlock) -> Iterator[list[int]]:
    """Rows that went through each part of the network, first to last."""
    first, between, _last = first_block._chain.places(first_block._network)
    parts = [first, *between]
    rows = [0] * len(parts)

    def hook(number: int) -> Callable[..., None]:
        def count(_module: Any, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
            rows[number] += len(named["hidden_states"] if "hidden_states" in named else given[0])

        return count

    hooks = [
        holder[name].register_forward_pre_hook(hook(number), with_kwargs=True)
        for number, (holder, name) in enumerate(parts)
    ]
    try:
        yield rows
    finally:
        for each in hooks:
            each.remove()


@contextmanager
def patient(first_block: FirstBlock) -> Iterator[None]:
    first_block._chain.patience = ALWAYS
    try:
        yield
    finally:
        del first_block._chain.patience


def asked(loaded: Model, prompt: str, seed: int, level: str | None) -> Row:
    """A row in the middle of a walk."""
    components, denoiser = loaded.components, loaded.denoiser
    told = components.text.encode(prompt, TextOptions())
    sigma = components.table.sigma_of(400.0) if not components.is_flow else 0.6
    side = 64 // components.vae_factor
    return Row(
        x=seeded_noise(seed, (components.vae.channels, side, side)),
        timestep=components.table.nearest_t(sigma),
        sigma=sigma,
        conditioning=told,
        size=denoiser.size_numbers(64, 64, enhanced=False)[0],
        memory=None if level is None else Memory(level=level, told=told),
    )


def answers(loaded: Model, rows: Sequence[Row]) -> list[torch.Tensor]:
    """As the batcher asks."""
    found: dict[int, torch.Tensor] = {}
    for places in loaded.denoiser.together(rows):
        found.update(zip(places, torch.split(loaded.answers([rows[place] for place in places]), 1), strict=True))
    return [found[place] for place in range(len(rows))]


def moved(row: Row) -> Row:
    """The same row much later."""
    x = torch.randn(row.x.shape, generator=torch.Generator().manual_seed(9)) * 5.0
    return replace(row, x=x, sigma=row.sigma * 0.2, timestep=row.timestep * 0.2)


@pytest.mark.parametrize("family", TRANSFORMERS, ids=lambda family: family.id.rpartition("/")[2])
def test_every_family_leaves_out_all_but_its_first_block(family: TinyFamily, path: Path) -> None:
    """Asked the same again, the first block alone gives the same answer; rows that may not, are computed."""
    bench = new_bench()
    file, parts = model(family, family.make(path, layout="prefixed")), companions(family, path)
    with torch.inference_mode():
        loaded, first_block = ready(bench, file, parts)
        leaves_blocks_out(loaded, first_block)


@pytest.mark.parametrize("name", [SD, XL])
def test_unets_leave_out_all_but_their_first_level(bench: Bench, files: Mapping[str, ModelFile], name: str) -> None:
    leaves_blocks_out(*ready(bench, files[name]))


def leaves_blocks_out(loaded: Model, first_block: FirstBlock) -> None:
    rows = [
        asked(loaded, "a cat", 1, "balanced"),
        asked(loaded, "a very long story of a dog", 2, None),
        asked(loaded, "a blue house", 3, "fast"),
        asked(loaded, "a cat", 4, "fast"),
    ]
    plain = [answers(loaded, [replace(row, memory=None)])[0] for row in rows]
    torch.testing.assert_close(answers(loaded, rows), plain, atol=1e-4, rtol=1e-4)
    later = [rows[0], rows[1], rows[2], moved(rows[3])]
    expected = [*plain[:3], answers(loaded, [replace(later[3], memory=None)])[0]]
    with counted(first_block) as parts:
        found = answers(loaded, later)
    assert parts[1:] == [2] * (len(parts) - 1)
    assert parts[0] >= 4
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert [row.memory.in_a_row for row in later if row.memory is not None] == [1, 1, 0]
    first, between, last = first_block._chain.places(first_block._network)
    assert all(isinstance(holder[name], torch.nn.Module) for holder, name in (first, *between, last))


def test_a_picture_without_it_is_the_same_to_the_bit(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    _, first_block = ready(bench, files[SD])
    plain = bench.picture(files[SD], 3, **CFG, steps=6)
    left_out = first_block.left_out
    assert torch.equal(bench.picture(files[SD], 3, **CFG, steps=6, stepcaching="off"), plain)
    assert first_block.left_out == left_out
    with patient(first_block):
        near = bench.picture(files[SD], 3, **CFG, steps=6, stepcaching="balanced")
        assert torch.equal(bench.picture(files[SD], 3, **CFG, steps=6, stepcaching="balanced"), near)
    assert first_block.left_out - left_out == 2 * 6, "every second call of two rows, twice"
    assert not torch.equal(near, plain)
    assert torch.equal(bench.picture(files[SD], 3, **CFG, steps=6), plain), "nothing stays behind"


def test_what_is_remembered_goes_with_the_picture(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    bench.submit(files[SD], (3,), **CFG, steps=6, stepcaching="fast")
    for _ in range(5):
        bench.turn()
    assert memories()
    bench.finish()
    cancelled = bench.submit(files[SD], (3,), **CFG, steps=6, stepcaching="fast")
    for _ in range(5):
        bench.turn()
    bench.cancel(cancelled)
    bench.finish()
    assert not memories()


def memories() -> list[Memory]:
    gc.collect()
    return [each for each in gc.get_objects() if type(each) is Memory]


def test_a_level_leaves_out_its_share_of_a_picture(path: Path) -> None:
    """With the thresholds of every day, on a network that changes slowly."""
    bench, family = new_bench(), lumina_2.LUMINA
    file, parts = model(family, family.make(path, layout="prefixed")), companions(family, path)
    with torch.inference_mode():
        _, first_block = ready(bench, file, parts)
        made, blocks = {}, {}
        for level in ("off", "balanced", "fast"):
            with counted(first_block) as rows:
                made[level] = bench.picture(file, 1, **CFG, steps=24, stepcaching=level, parts=parts)
            blocks[level] = rows[-1]
        near, far = ((made[level] - made["off"]).abs().mean() for level in ("balanced", "fast"))
        assert blocks["off"] == 48
        assert blocks["fast"] < blocks["balanced"] < 0.7 * 48
        assert 0 < near < 1.0
        assert near <= far < 3.0


@pytest.mark.parametrize("name", [SD, XL])
def test_levels_share_calls_and_decide_for_themselves(bench: Bench, files: Mapping[str, ModelFile], name: str) -> None:
    _, first_block = ready(bench, files[name])
    wishes: list[dict[str, Any]] = [
        {**CFG, "steps": 7, "stepcaching": "balanced"},
        {**CFG, "steps": 6},
        {**CFG, "steps": 9, "stepcaching": "fast", "cfgscale": 1.0},
        {**CFG, "steps": 6, "stepcaching": "fast", "prompt": "a very long story " * 12, "sampler": "heun"},
    ]
    with patient(first_block):
        alone = [bench.picture(files[name], seed, **wish) for seed, wish in enumerate(wishes)]
        left_out = first_block.left_out
        ids = [bench.submit(files[name], (seed,), **wish) for seed, wish in enumerate(wishes)]
        bench.finish()
    assert first_block.left_out > left_out
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


def test_loras_that_come_and_go_change_nothing_for_others(
    bench: Bench, files: Mapping[str, ModelFile], path: Path
) -> None:
    _, first_block = ready(bench, files[SD])
    name = "lora_unet_" + ATTENTION.replace(".", "_")
    use = LoraUse(file=lora(path / "a.safetensors", (name,), ((32, 32),), KOHYA), weight=0.7, text_weight=0.7)
    wishes: list[dict[str, Any]] = [
        {**CFG, "steps": 6, "stepcaching": "fast", "loras": (use,)},
        {**CFG, "steps": 7, "stepcaching": "balanced"},
    ]
    with patient(first_block):
        alone = [bench.picture(files[SD], 5, **wish) for wish in wishes]
        ids = [bench.submit(files[SD], (5,), **wish) for wish in wishes]
        bench.finish()
    assert (alone[0] - alone[1]).abs().max() > 2.0
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


def test_controlled_steps_are_computed(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    loaded, first_block = ready(bench, files[SD])
    row = asked(loaded, "a cat", 1, "fast")
    answers(loaded, [row])
    assert row.memory is not None
    assert row.memory.rest is not None
    seen = []

    def call(rows: Sequence[Row]) -> torch.Tensor:
        seen.append(len(rows))
        return rows[0].x

    left_out = first_block.left_out
    control = Control(file=files[SD], hint=torch.zeros(1, 3, 64, 64), strength=1.0)
    with patient(first_block):
        for _ in range(3):
            first_block.answers(call, [replace(row, controls=(control,))])
    assert seen == [1, 1, 1]
    assert first_block.left_out == left_out
    assert row.memory.rest is None, "what was known without it counts no more"


def test_rows_that_read_others_are_computed(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    """The network sees more rows than ask."""
    loaded, first_block = ready(bench, files[SD])
    row = asked(loaded, "a cat", 1, "fast")
    answers(loaded, [row])
    left_out = first_block.left_out

    def call(rows: Sequence[Row]) -> torch.Tensor:
        return loaded.denoiser([*rows, asked(loaded, "a dog", 2, None)])[: len(rows)]

    with patient(first_block), counted(first_block) as parts:
        first_block.answers(call, [row])
    assert parts == [2] * len(parts)
    assert first_block.left_out == left_out
    assert row.memory is not None
    assert row.memory.rest is None
    led: dict[str, Any] = {"cfgscale": 1.0, "negativeprompt": "rain", "normalizedattentionguidancescale": 4.0}
    with patient(first_block):
        plain = bench.picture(files[SD], 1, **led)
        assert torch.equal(bench.picture(files[SD], 1, **led, stepcaching="fast"), plain)


def test_a_call_that_fails_teaches_nothing(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    loaded, first_block = ready(bench, files[SD])
    row = asked(loaded, "a cat", 1, "fast")

    def failing(rows: Sequence[Row]) -> torch.Tensor:
        loaded.denoiser(rows)
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError):
        first_block.answers(failing, [row])
    assert row.memory is not None
    assert row.memory.rest is None
    assert isinstance(first_block._network.get_submodule("mid_block"), torch.nn.Module)
    with counted(first_block) as parts:
        answers(loaded, [row])
    assert parts == [1] * len(parts)


def test_other_words_are_computed(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    """A prompt that changes with every step leaves nothing to go by."""
    _, first_block = ready(bench, files[SD])
    left_out = first_block.left_out
    with patient(first_block):
        bench.picture(files[SD], 3, prompt="[a cat|a dog]", cfgscale=1.0, steps=5, stepcaching="fast")
    assert first_block.left_out == left_out


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", ["wan", "hunyuan"])
def test_whole_pipelines_leave_blocks_out_too(path: Path, name: str) -> None:
    """With diffusers' own hooks, of which nothing stays behind."""
    bench, file = new_bench(), ModelFile(name=name, path=path / name, family=None, stamp="1")
    video.save(name, path)
    wish: dict[str, Any] = {"steps": 12, "textvideoframes": 9, "cfgscale": 4.0}
    with torch.inference_mode():
        blocks = calmed(bench.whole.ready(file, {}).transformer)
        calls = [0] * len(blocks)
        for number, block in enumerate(blocks):
            norm = next(part for part in block.modules() if "Norm" in type(part).__name__)
            norm.register_forward_pre_hook(lambda *_given, at=number: calls.__setitem__(at, calls[at] + 1))
        found = []
        for level in ("off", "fast", "off"):
            calls[:] = [0] * len(blocks)
            id = bench.submit(file, (1,), **wish, stepcaching=level)
            bench.finish()
            clip = next(event.result for event in bench.events(id) if isinstance(event, ImageDone))
            assert isinstance(clip, Clip)
            found.append((list(calls), clip.data))
    plain, fast, after = found
    assert plain == after
    assert fast[0][0] == plain[0][0]
    assert all(less <= 0.8 * each for less, each in zip(fast[0][1:], plain[0][1:], strict=True))
    assert fast[1] != plain[1]


def calmed(network: Any) -> list[Any]:
    """The blocks of a network whose random weights hear the time no more than trained ones do."""
    for part in network.modules():
        if "TimestepEmbedding" in type(part).__name__:
            for weight in part.parameters():
                weight.mul_(0.01)
    return [block for part in network.children() if isinstance(part, torch.nn.ModuleList) for block in part]
