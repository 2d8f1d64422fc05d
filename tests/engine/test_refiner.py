"""The refine stage: what it takes over, with which settings, and at which size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

from swarm.features.refiner import begins_at, hand_over, refiner_input, refiner_steps, upscaled
from swarm.features.resize import LATENT_METHODS, METHODS, bislerp, scaled, scaled_latent
from swarm.jobs.events import ImageDone, StepDone
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Pass
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, XL, Bench

pytestmark = pytest.mark.torch
REFINE: dict[str, Any] = {"refinermethod": "PostApply", "refinercontrolpercentage": 0.5, "steps": 4}


def test_without_method_or_share_nothing_is_refined(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    plain = bench.picture(files[SD], 3, steps=4)
    for missing in ("refinermethod", "refinercontrolpercentage"):
        values = {name: value for name, value in REFINE.items() if name != missing}
        assert torch.equal(bench.picture(files[SD], 3, **values, refinerupscale=2.0), plain)


def test_refining_changes_the_picture_and_counts_its_steps(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    plain = bench.picture(files[SD], 3, steps=4)
    id = bench.submit(files[SD], (3,), **REFINE)
    bench.finish()
    assert (bench.pixels(id) - plain).abs().max() > 1.0
    steps = [event for event in bench.events(id) if isinstance(event, StepDone)]
    assert [event.total for event in steps] == [6] * len(steps)
    assert steps[-1].done == 6


def test_noise_that_is_left_is_walked_on_from_as_one_walk(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    """The same model on both sides of a noisy swap: nothing but the hand-over itself can differ."""
    plain = bench.picture(files[SD], 3, steps=4)
    swapped = bench.picture(files[SD], 3, **REFINE | {"refinermethod": "StepSwapNoisy"})
    assert (swapped - plain).abs().max() <= 1.0
    fresh = bench.picture(files[SD], 3, **REFINE | {"refinermethod": "StepSwap"})
    assert (fresh - plain).abs().max() > 1.0


@pytest.mark.parametrize("method", ["pixel-lanczos", "pixel-area", "latent-bislerp", "latent-bilinear"])
def test_the_picture_can_be_enlarged_on_the_way(bench: Bench, files: Mapping[str, ModelFile], method: str) -> None:
    made = bench.picture(files[SD], 3, **REFINE, refinerupscale=1.5, refinerupscalemethod=method)
    assert made.shape == (96, 96, 3)


def test_enlarging_without_steps_is_enlarging(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    plain = bench.picture(files[SD], 3, steps=4)
    values = REFINE | {"refinercontrolpercentage": 0.0}
    made = bench.picture(files[SD], 3, **values, refinerupscale=2.0, refinerupscalemethod="pixel-nearest-exact")
    assert (made - plain.repeat_interleave(2, 0).repeat_interleave(2, 1)).abs().max() <= 1.0


def test_another_model_may_refine(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    """Its latents are of another kind, so the picture goes through both VAEs."""
    first = replace(files[SD], latent_space="one")
    second = replace(files[XL], latent_space="two")
    own = bench.picture(first, 3, **REFINE)
    made = bench.picture(first, 3, **REFINE, files={"refinermodel": second})
    assert made.shape == own.shape
    assert (made - own).abs().max() > 1.0


def test_the_picture_before_refining_can_be_had_too(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    plain = bench.picture(files[SD], 3, steps=4)
    id = bench.submit(files[SD], (3,), **REFINE, outputintermediateimages=True)
    bench.finish()
    extra, last = (event for event in bench.events(id) if isinstance(event, ImageDone))
    assert (extra.real, last.real) == (False, True)
    assert getattr(extra.result, "data", None) == bytes(plain.byte().flatten().tolist())


def test_the_refine_stage_reads_its_own_words_first() -> None:
    asked = GenerationInput(
        {"prompt": "a fox <refiner//cid=1> in oil", "negativeprompt": "fog", "steps": 20, "cfgscale": 7.0,
         "refinercfgscale": 3.0, "sampler": "heun", "refinersampler": "lms", "scheduler": "karras"},
        sections={1: {"sampler": "euler"}},
    )  # fmt: skip
    read = refiner_input(asked, 30, 640, 512).values
    expected = {"cfgscale": 3.0, "sampler": "euler", "scheduler": "karras", "steps": 30, "width": 640}
    assert {key: read[key] for key in expected} == expected
    assert "in oil" in read["prompt"]
    assert read["negativeprompt"] == "fog"
    own = GenerationInput({"steps": 20, "refinersteps": 9}, sections={1: {"steps": 5, "cfgscale": 2.0}})
    assert (refiner_steps(own), refiner_input(own, 9, 640, 512).values["cfgscale"]) == (9, 2.0)


def test_where_stages_meet() -> None:
    assert [begins_at(20, share) for share in (0.0, 0.2, 0.5, 1.0)] == [20, 16, 10, 0]
    assert upscaled(512, GenerationInput({"refinerupscale": 1.3})) == 656
    assert upscaled(500, GenerationInput()) == 500
    file = ModelFile(name="m", path=None, family=None, stamp="")  # type: ignore[arg-type]
    base = Pass(input=GenerationInput({**REFINE, "refinermethod": "StepSwap"}), model=file, seed=1)
    assert (hand_over(base).last_step, hand_over(base).leaves_noise) == (2, False)
    assert hand_over(base.with_input(GenerationInput(REFINE))).last_step is None


def test_every_method_resizes_a_flat_picture_to_a_flat_picture() -> None:
    flat = torch.full((1, 3, 8, 12), 0.5)
    for method in METHODS:
        # Lanczos works on levels as bytes.
        assert (scaled(flat, method, 21, 17) - 0.5).abs().max() < (1 / 255 if method == "lanczos" else 1e-3)
        assert scaled(flat, method, 21, 17).shape == (1, 3, 17, 21)
    for method in LATENT_METHODS:
        assert (scaled_latent(flat, method, 21, 17) - 0.5).abs().max() < 1e-3


def test_turning_keeps_the_strength_of_a_latent() -> None:
    latent = torch.nn.functional.normalize(torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0)), dim=1)
    assert (bislerp(latent, 15, 11).norm(dim=1) - 1.0).abs().max() < 1e-3


def test_changing_prompts_count_the_base_walks_steps(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    values = {"steps": 4, "refinersteps": 8, "refinercontrolpercentage": 0.5, "refinermethod": "PostApply"}
    plain = bench.picture(files[SD], 3, prompt="a fox", **values)
    never = bench.picture(files[SD], 3, prompt="[a fox:a (boat:3):4]", **values)
    assert (never - plain).abs().max() <= 1.0
    late = bench.picture(files[SD], 3, prompt="[a fox:a (boat:3):3]", **values)
    assert (late - plain).abs().max() > 1.0
