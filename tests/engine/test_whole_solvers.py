"""Samplers and schedules of whole pipelines: those of the batched tier, and the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline, LTXConditionPipeline, LTXImageToVideoPipeline, LTXPipeline
from PIL import Image

import swarm.diffusion
from swarm.base.errors import BadInput
from swarm.base.registry import collect
from swarm.diffusion.sampler import Sampler
from swarm.diffusion.schedule import Schedule, ScheduleOptions
from swarm.diffusion.sigmas import SigmaTable
from swarm.diffusion.space import Space
from swarm.engine.pipeline import Told
from swarm.engine.step_noise import noise_for
from swarm.engine.whole.arguments import arguments_for
from swarm.engine.whole.levels import Levels, usual_of
from swarm.engine.whole.solvers import places_of
from swarm.engine.whole.walking import Arranged
from swarm.engine.whole.way import Swap, Way, asks_of
from swarm.engine.whole.wish import Wish, base_wish
from swarm.features.core import CFG_SCALE
from swarm.jobs.job import Job, ModelFile
from swarm.params.input import GenerationInput
from swarm.prompt.sections import Section
from tests.engine.conftest import SD, Bench
from tests.engine.flow_oracle import GivenSigmas, sigmas
from tests.engine.test_whole import picture
from tests.support.tiny import video
from tests.support.tiny.auraflow import FAMILIES
from tests.support.tiny_models import Tiny

pytestmark = [
    pytest.mark.torch,
    # diffusers' own schedulers call numpy in a way that numpy warns about.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]
AURAFLOW = FAMILIES[0]
ALIKE = (
    "euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde", "heun", "uni_pc", "res_multistep", "dpmpp_3m_sde", "lcm",
    "dpm_fast", "seeds_2", "euler_cfg_pp",
)  # fmt: skip
FIXED = [sampler for sampler in collect(swarm.diffusion, Sampler).values() if not sampler.adapts]
NORMAL = {"sd": "normal", "auraflow": "simple"}


@pytest.fixture(scope="module")
def folder(tiny: Mapping[str, Tiny], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("solved")
    tiny[SD].pipeline().save_pretrained(path / "sd")
    AURAFLOW.reference().save_pretrained(path / "auraflow")
    return path


def file_of(folder: Path, name: str) -> ModelFile:
    if not (folder / name).exists():
        video.save(name, folder)
    return ModelFile(name=name, path=folder / name, family=None, stamp="1")


def wish_for(file: ModelFile, **values: Any) -> Wish:
    asked = {"prompt": "a fox", "steps": 4, "width": 64, "height": 64, "cfgscale": 3.0, **values}
    return base_wish(Job(id="whole", input=GenerationInput(asked), model=file, seeds=(1,)), 0)


def quiet(stepped: Callable[[int, int], None] = lambda done, total: None) -> Told:
    return Told(
        stepped=stepped,
        is_cancelled=lambda: False,
        wants_preview=lambda: False,
        preview=lambda picture: None,
    )


def whole(bench: Bench, file: ModelFile, **values: Any) -> tuple[torch.Tensor, list[tuple[int, int]]]:
    """(picture or clip, 0 to 255, in one row; the steps that were told), by the whole pipeline, whichever tier the
    model is of."""
    steps: list[tuple[int, int]] = []
    told = quiet(lambda done, total: steps.append((done, total)))
    made = bench.whole.make(file, {}, wish_for(file, **values), (), told)
    return torch.frombuffer(bytearray(made.data), dtype=torch.uint8).float(), steps


def calls_of(bench: Bench, file: ModelFile, **values: Any) -> tuple[int, list[tuple[int, int]]]:
    """How often the network was called, and the steps that were told."""
    calls: list[None] = []
    hook = bench.whole.ready(file, {}).transformer.register_forward_hook(lambda *_told: calls.append(None))
    _, steps = whole(bench, file, **values)
    hook.remove()
    return len(calls), steps


@pytest.mark.parametrize("sampler", ALIKE)
@pytest.mark.parametrize("name", ["sd", "auraflow"])
def test_both_tiers_draw_the_same_picture(bench: Bench, folder: Path, name: str, sampler: str) -> None:
    asked: dict[str, Any] = {"sampler": sampler, "scheduler": NORMAL[name], "steps": 4, "cfgscale": 3.0}
    batched = bench.picture(file_of(folder, name), **asked).flatten()
    found, _steps = whole(bench, file_of(folder, name), **asked)
    assert (found - batched).abs().max() <= 2.0
    assert found.std() > 1.0


@pytest.mark.parametrize("sampler", ["euler", "heun", "euler_ancestral"])
@pytest.mark.parametrize("creativity", [0.4, 0.75])
def test_both_tiers_begin_alike_from_a_picture(
    bench: Bench, folder: Path, tiny: Mapping[str, Tiny], sampler: str, creativity: float
) -> None:
    """Where the VAE is sure of what it sees: pipelines draw what it is unsure of, the batched tier takes the mean."""
    if not (folder / "sure").exists():
        pipe = deepcopy(tiny[SD].pipeline())
        pipe.vae.quant_conv.weight[4:] = 0.0
        pipe.vae.quant_conv.bias[4:] = -30.0
        pipe.save_pretrained(folder / "sure")
    asked: dict[str, Any] = {"initimage": picture(), "initimagecreativity": creativity, "sampler": sampler, "steps": 4}
    asked |= {"cfgscale": 3.0, "scheduler": "normal"}
    batched = bench.picture(file_of(folder, "sure"), **asked).flatten()
    found, steps = whole(bench, file_of(folder, "sure"), **asked)
    assert steps[-1] == (round(4 * creativity), round(4 * creativity))
    assert (found - batched).abs().max() <= 2.0


@pytest.mark.parametrize("name", ["wan", "hunyuan", "ltx"])
def test_euler_is_diffusers_own_along_the_same_levels(bench: Bench, folder: Path, name: str) -> None:
    file = file_of(folder, name)
    asked: dict[str, Any] = {"textvideoframes": 9, "sampler": "euler", "scheduler": "simple"}
    found, _steps = whole(bench, file, **asked)
    pipe = bench.whole.ready(file, {})
    usual = usual_of(pipe)
    assert usual is not None and usual.shift is not None
    other = type(pipe)(**pipe.components)
    other.scheduler = GivenSigmas(shift=1.0)
    other.scheduler.given = sigmas(SigmaTable.flow(usual.shift, usual.levels), 4)
    frames = other(**arguments_for(other, wish_for(file, **asked))).frames[0]
    expected = torch.from_numpy(frames).mul(255).round().clamp(0, 255).flatten()
    assert (found - expected).abs().max() <= 1.0
    assert found.std() > 1.0


@pytest.mark.parametrize("sampler", FIXED, ids=lambda sampler: str(sampler.id))
def test_every_sampler_solves_a_whole_pipeline(bench: Bench, folder: Path, sampler: Sampler) -> None:
    asked: dict[str, Any] = {"textvideoframes": 1, "width": 32, "height": 32, "cfgscale": 2.0, "steps": 3}
    calls, steps = calls_of(bench, file_of(folder, "wan"), sampler=sampler.id, **asked)
    most = 3 if sampler.calls == "up to 3" else int(sampler.calls)
    assert calls == 2 * len(steps)
    assert 3 <= len(steps) <= 3 * most
    assert (len(steps) == 3) == (most == 1)
    assert steps[-1] == (3, 3)
    assert steps == sorted(steps)


@pytest.mark.parametrize("schedule", sorted(collect(swarm.diffusion, Schedule)))
def test_every_schedule_leads_a_whole_pipeline(bench: Bench, folder: Path, schedule: str) -> None:
    asked: dict[str, Any] = {"textvideoframes": 1, "width": 32, "height": 32, "cfgscale": 2.0, "steps": 2}
    calls, steps = calls_of(bench, file_of(folder, "wan"), scheduler=schedule, **asked)
    assert (calls, steps[-1]) == (4, (2, 2))


def test_what_adapts_is_refused(bench: Bench, folder: Path) -> None:
    with pytest.raises(BadInput, match="Choose another, 'dpmpp_2m'"):
        whole(bench, file_of(folder, "wan"), sampler="dpm_adaptive")


def test_noise_of_tokens_is_that_of_the_latent_they_are_made_of() -> None:
    """Flux' and LTX' pipelines keep latents as rows of tokens."""
    flux, ltx = object.__new__(FluxPipeline), object.__new__(LTXPipeline)
    flux.vae_scale_factor = 8
    ltx.vae_spatial_compression_ratio, ltx.vae_temporal_compression_ratio = 32, 8
    ltx.transformer_spatial_patch_size = ltx.transformer_temporal_patch_size = 1
    picture = torch.randn(1, 16, 8, 6)
    tokens = FluxPipeline._pack_latents(picture, 1, 16, 8, 6)
    places = places_of(flux, tuple(tokens.shape), {"width": 48, "height": 64})
    assert places is not None
    assert torch.equal(tokens.flatten()[places], picture)
    clip = torch.randn(1, 128, 2, 3, 4)
    tokens = LTXPipeline._pack_latents(clip)
    places = places_of(ltx, tuple(tokens.shape), {"width": 128, "height": 96, "num_frames": 9})
    assert places is not None
    assert torch.equal(tokens.flatten()[places], clip)
    assert places_of(flux, tuple(picture.shape), {}) is None


def test_noise_of_a_clip_from_a_picture_is_drawn_for_its_first_frame_too() -> None:
    """LTX' pipeline steps the others only."""
    shape = (1, 8, 2, 2, 2)
    places = places_of(object.__new__(LTXImageToVideoPipeline), shape, {})
    assert places is not None
    assert tuple(places.shape) == (1, 8, 3, 2, 2)
    space = Space(SigmaTable.flow(1.0))
    drawn = noise_for("steps", 5, places.shape[1:], torch.device("cpu"), space, (1.0, 0.0))
    whole_clip = noise_for("steps", 5, places.shape[1:], torch.device("cpu"), space, (1.0, 0.0))(1.0, 0.5)
    found: Any = Arranged(drawn, places, shape)(1.0, 0.5)
    assert isinstance(whole_clip, torch.Tensor)
    assert torch.equal(found, whole_clip[:, :, 1:])


def test_pictures_of_a_job_share_the_noise_of_steps(bench: Bench, folder: Path) -> None:
    """As in the batched tier, where the second picture's is drawn behind the first one's."""
    file, asked = file_of(folder, "sd"), dict[str, Any](sampler="euler_ancestral", steps=3, cfgscale=3.0)
    id = bench.submit(file, (1, 2), **asked)
    bench.finish()
    job = Job(id="two", input=wish_for(file, **asked).input, model=file, seeds=(1, 2))
    second = bench.whole.make(file, {}, base_wish(job, 1), (), quiet())
    found = torch.frombuffer(bytearray(second.data), dtype=torch.uint8).float()
    assert (found - bench.pixels(id, 1).flatten()).abs().max() <= 2.0


@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_the_second_model_takes_over_where_it_is_told_to(bench: Bench, folder: Path, sampler: str) -> None:
    file = file_of(folder, "wan_pair")
    pipe, calls = bench.whole.ready(file, {}), [0, 0]

    def count(which: int) -> None:
        calls[which] += 1

    hooks = [
        network.register_forward_hook(lambda *_told, which=which: count(which))
        for which, network in enumerate((pipe.transformer, pipe.transformer_2))
    ]
    asked: dict[str, Any] = {"textvideoframes": 1, "videoswapmodel": "low", "videoswappercent": 0.75, "cfgscale": 1.0}
    whole(bench, file, sampler=sampler, **asked)
    for hook in hooks:
        hook.remove()
    # The last question of a step is at the level where the next one begins, and is the first model's nevertheless.
    assert calls == ([1, 3] if sampler == "euler" else [2, 5])


def test_the_second_model_s_sampler_begins_anew_where_the_first_ends() -> None:
    dpmpp_2m, heun, simple = (found("dpmpp_2m"), found("heun"), collect(swarm.diffusion, Schedule)["simple"])
    levels = Levels(kind="flow", table=SigmaTable.flow(8.0), steps=1000)
    way = Way(
        sampler=dpmpp_2m,
        schedule=simple,
        options=ScheduleOptions(),
        levels=levels,
        seed=1,
        swap=Swap(share=0.5, sampler=heun, schedule=simple),
    )
    first, second = way.legs(4, levels)
    whole_way = simple.sigmas(4, levels.table, ScheduleOptions())
    assert (list(first.sigmas), list(second.sigmas)) == (whole_way[:3], whole_way[2:])
    assert (first.last, second.first, second.last) == (2, 2, 4)
    asked = [(ask.sigma, ask.step) for ask in asks_of([first, second], levels)]
    a, b, c, d, _none = whole_way
    assert asked == [(a, 0), (b, 1), (c, 2), (d, 2), (d, 3)]


def found(id: str) -> Sampler:
    return collect(swarm.diffusion, Sampler)[id]


def test_the_second_model_has_a_guidance_of_its_own(bench: Bench, folder: Path) -> None:
    pipe = bench.whole.ready(file_of(folder, "wan_pair"), {})
    asked = wish_for(file_of(folder, "wan_pair"), videoswapmodel="low")
    own = replace(asked, input=asked.input.having(CFG_SCALE, 1.5, section=Section.VIDEO_SWAP))
    assert "guidance_scale_2" not in arguments_for(pipe, asked)
    assert arguments_for(pipe, own)["guidance_scale_2"] == 1.5


class GivenTimes(GivenSigmas):
    """For pipelines that bring timesteps of their own."""

    def set_timesteps(
        self,
        num_inference_steps: int = 0,
        device: Any = None,
        sigmas: Any = None,
        mu: Any = None,
        timesteps: Any = None,
    ) -> None:
        super().set_timesteps()


def test_clips_go_on_from_frames_by_any_sampler(bench: Bench, folder: Path) -> None:
    """By Euler as diffusers does, which steps tokens of different noise."""
    file, frames = file_of(folder, "ltx"), tuple(Image.new("RGB", (64, 64), (9 * n, 99, 9)) for n in range(9))
    asked = replace(wish_for(file, textvideoframes=17, scheduler="simple"), image=frames[0], before=frames)

    def clip(wish: Wish) -> torch.Tensor:
        made = bench.whole.make(file, {}, wish, (), quiet())
        return torch.frombuffer(bytearray(made.data), dtype=torch.uint8).float()

    pipe = bench.whole.ready(file, {})
    other = LTXConditionPipeline(**pipe.components)
    other.scheduler = GivenTimes(shift=1.0)
    other.scheduler.given = sigmas(SigmaTable.flow(exp(2.37), 10_000), 4)
    expected = torch.from_numpy(other(**arguments_for(other, asked)).frames[0]).mul(255).round().clamp(0, 255)
    euler, *others = (clip(replace(asked, sampler=sampler)) for sampler in ("euler", "heun", "dpmpp_2m_sde"))
    assert (euler - expected.flatten()).abs().max() <= 1.0
    for found in others:
        assert not torch.equal(found, euler)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    torch.set_num_threads(1)
    yield
