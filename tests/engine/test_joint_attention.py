"""Normalized attention guidance where words and picture attend together: the paper's formula in every block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.transformers import (
    transformer_flux,
    transformer_flux2,
    transformer_qwenimage,
    transformer_z_image,
)

from swarm.engine.components import Components, Row, TextOptions
from swarm.engine.device import choose_device
from swarm.engine.errands import Errands
from swarm.engine.memory import made
from swarm.engine.start import families
from swarm.features.normalized_attention import Away
from swarm.jobs.job import ModelFile
from tests.engine.conftest import Bench
from tests.engine.family_checks import drawn
from tests.engine.flow_oracle import companions, model
from tests.support.tiny import chroma, flux, flux_2, lumina_2, qwen_image, stable_diffusion_3, z_image
from tests.support.tiny.family import TinyFamily

pytestmark = pytest.mark.torch
SCALE, ALPHA, TAU = 6.0, 0.7, 1.2
SIDE, CELLS = 8, 16
"""The latent's, and how many tokens of two by two cells it is; to Flux.2, as many as it has cells."""
NAMES: dict[str, tuple[TinyFamily, Any, bool]] = {
    "flux": (flux.DEV, transformer_flux, False),
    "flux 2": (flux_2.DEV, transformer_flux2, False),
    "sd3": (stable_diffusion_3.MEDIUM_35, torch.nn.functional, True),
    "chroma": (chroma.CHROMA, transformer_flux, False),
    "qwen": (qwen_image.IMAGE, transformer_qwenimage, False),
    "z": (z_image.Z_IMAGE, transformer_z_image, True),
}
"""Each family, whose attention function it calls, and whether its picture comes before its words."""


def by_the_paper(toward: torch.Tensor, away: torch.Tensor) -> torch.Tensor:
    """The published formula, for (tokens, channels)."""
    guided = toward * SCALE - away * (SCALE - 1)
    ratio = torch.norm(guided, p=1, dim=-1, keepdim=True) / torch.norm(toward, p=1, dim=-1, keepdim=True)
    guided = guided * torch.minimum(ratio, torch.full_like(ratio, TAU)) / ratio
    result: torch.Tensor = guided * ALPHA + toward * (1 - ALPHA)
    return result


@contextmanager
def led(holder: Any, picture: int, first: bool) -> Iterator[list[int]]:
    """Attention between two lines' words and picture led by the formula. Counts what it did it to."""
    name = "scaled_dot_product_attention" if holder is torch.nn.functional else "dispatch_attention_fn"
    plain, counted = getattr(holder, name), [0]

    def attend(*given: Any, **named: Any) -> Any:
        made = plain(*given, **named)
        shown = made.transpose(1, 2) if holder is torch.nn.functional else made
        # Z-Image fills either up to 32 tokens, and looks at each by itself first.
        if shown.shape[1] <= (32 if holder is transformer_z_image else picture):
            return made
        own = slice(0, picture) if first else slice(shown.shape[1] - picture, None)
        flat = shown.flatten(2)
        result = by_the_paper(flat[0, own], flat[1, own])
        shown = torch.stack([line.index_copy(0, torch.arange(shown.shape[1])[own], result) for line in flat])
        counted[0] += 1
        if holder is not torch.nn.functional:
            return shown.reshape(made.shape)
        return shown.reshape(made.transpose(1, 2).shape).transpose(1, 2)

    setattr(holder, name, attend)
    try:
        yield counted
    finally:
        setattr(holder, name, plain)


Held = Callable[[str], tuple[ModelFile, Mapping[str, ModelFile]]]


def holding(folders: pytest.TempPathFactory) -> Held:
    """Writes families' files when they are first asked for by name; with what completes them."""
    known: dict[str, tuple[ModelFile, Mapping[str, ModelFile]]] = {}

    def find(name: str) -> tuple[ModelFile, Mapping[str, ModelFile]]:
        if name not in known:
            family, folder = NAMES[name][0], folders.mktemp(name.replace(" ", ""))
            path = family.make(folder, layout="single" if family.extra else "bare")
            known[name] = model(family, path), companions(family, folder)
        return known[name]

    return find


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Held:
    return holding(tmp_path_factory)


def pair(components: Components, x: torch.Tensor) -> tuple[Row, Row]:
    """The lines of a prompt and of a negative prompt, not yet led."""
    told = [components.text.encode(text, TextOptions()) for text in ("a fox in the snow", "a red house by a lake")]
    if told[0].tokens.shape != told[1].tokens.shape:
        length = min(each.tokens.shape[1] for each in told)
        told = [replace(each, tokens=each.tokens[:, :length]) for each in told]
    one, other = (Row(x=x, timestep=600.0, sigma=0.6, conditioning=each) for each in told)
    return one, other


def leading(row: Row, partner: Row, away: Away) -> Row:
    told = replace(row.conditioning, extra={**row.conditioning.extra, "attention_away": away})
    return replace(row, conditioning=told, away=partner)


@pytest.mark.parametrize("name", NAMES)
def test_every_block_is_led_as_the_paper_says(held: Held, name: str) -> None:
    _family, holder, first = NAMES[name]
    file, parts = held(name)
    components, device = families().load(file, choose_device(0, "auto"), parts), choose_device(0, "auto")
    engine = made(components, device, Errands(device))
    side = 4 if name == "flux 2" else SIDE
    x = torch.randn(1, components.vae.channels, side, side, generator=torch.Generator().manual_seed(1))
    one, other = pair(components, x)
    away = Away(told=other.conditioning, scale=SCALE, alpha=ALPHA, tau=TAU)
    rows = [leading(one, other, away), leading(other, one, replace(away, told=one.conditioning, turned=True))]
    with torch.inference_mode():
        plain = engine.answers([one, other])
        with led(holder, CELLS, first) as counted:
            expected = engine.answers([one, other])
        assert counted[0] >= 2 and (expected - plain).abs().max() > 1e-3
        together = engine.answers(rows)
        alone = torch.cat([engine.answers([row]) for row in rows])
        again = engine.answers([one, other])
    assert torch.allclose(together, expected, atol=1e-5)
    assert torch.allclose(alone, expected, atol=1e-5)
    assert torch.equal(again, plain)


ASKED: dict[str, Any] = {"prompt": "a fox", "negativeprompt": "a house in the rain", "steps": 3}
LED: dict[str, Any] = {**ASKED, "normalizedattentionguidancescale": 8.0, "normalizedattentionguidancealpha": 0.9}


@pytest.mark.parametrize("name", ["flux", "chroma", "z"])
def test_the_negative_prompt_counts_without_guidance(bench: Bench, held: Held, name: str) -> None:
    file, parts = held(name)
    plain = drawn(bench, file, parts, 1, {**ASKED, "cfgscale": 1.0})
    rain = drawn(bench, file, parts, 1, {**LED, "cfgscale": 1.0})
    assert (rain - plain).abs().max() > 2.0
    other = drawn(bench, file, parts, 1, {**LED, "cfgscale": 1.0, "negativeprompt": "blue " * 30})
    assert (rain - other).abs().max() > 1.0
    weak = drawn(bench, file, parts, 1, {**LED, "cfgscale": 1.0, "normalizedattentionguidancealpha": 0.0})
    if name != "z":
        # With words as long as the others'; elsewhere filling moves what comes behind it.
        assert (weak - plain).abs().max() <= 1.0


@pytest.mark.parametrize("name", ["sd3", "chroma"])
def test_alone_and_together_are_the_same(bench: Bench, held: Held, name: str) -> None:
    file, parts = held(name)
    wishes: list[dict[str, Any]] = [
        {**LED, "cfgscale": 4.0},
        {**LED, "cfgscale": 1.0, "negativeprompt": "fog", "normalizedattentionguidancetau": 3.0},
        {**ASKED, "cfgscale": 4.0},
        {**LED, "cfgscale": 3.0, "negativeprompt": "fog, " * 40},
    ]
    alone = [drawn(bench, file, parts, 1, wish) for wish in wishes]
    ids = [bench.submit(file, (1,), parts=parts, **wish) for wish in wishes]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0
    assert (alone[0] - alone[2]).abs().max() > 2.0


def test_families_that_attend_otherwise_are_refused(bench: Bench, tmp_path: Path) -> None:
    family = lumina_2.FAMILIES[0]
    file = model(family, family.make(tmp_path, layout="bare"))
    with pytest.raises(AssertionError, match="Set its scale to 0"):
        drawn(bench, file, companions(family, tmp_path), 1, LED)
