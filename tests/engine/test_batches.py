"""Several pictures of one job are one tensor to whatever draws noise, as in ComfyUI; and still each goes its own way.

The oracle is a loop over that tensor, written from the published formulas: the starts from a seed each, the noise of
steps and Brownian paths for all pictures at once from the first one's seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from math import exp, expm1, log, sqrt
from typing import Any

import pytest
import torch
from torchsde import BrownianTree

from swarm.engine.runner import Model, Sampling
from swarm.engine.start import methods
from swarm.features.inpaint import keep_the_rest
from swarm.jobs.events import ImageDone, StepDone
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Batch, Pass
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, Bench, new_bench
from tests.engine.test_features import picture_of
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch
SEEDS = (11, 12, 13)
STEPS = 4
ASKED: dict[str, Any] = {
    "prompt": "a red fox in the snow", "negativeprompt": "blurry", "steps": STEPS, "cfgscale": 6.0,
    "width": 72, "height": 56, "scheduler": "simple", "modelspecificenhancements": False,
}  # fmt: skip
SHAPE = (4, 7, 9)
"""Of one latent. 252 numbers are no multiple of 16, so that a part of a long draw is no short draw after another."""
Ask = Callable[[torch.Tensor, float], torch.Tensor]
Draw = Callable[[float, float], torch.Tensor]


class Oracle:
    """The tiny model as a function of (n, C, h, w), with the negative prompt at scale 6."""

    def __init__(self, tiny: Tiny) -> None:
        self.unet: Any = tiny.unet
        self.vae: Any = tiny.vae
        self.told: Any = tiny.pipeline().encode_prompt(ASKED["prompt"], "cpu", 1, True, ASKED["negativeprompt"])

    def sigmas(self) -> list[float]:
        table = self._table()
        return [float(table[-1 - int(step * len(table) / STEPS)]) for step in range(STEPS)] + [0.0]

    def ask(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        moment = (self._table().log() - log(sigma)).abs().argmin()
        seen = x / sqrt(sigma**2 + 1)
        yes, no = (
            self.unet(seen, moment, encoder_hidden_states=one.expand(len(x), -1, -1)).sample for one in self.told
        )
        denoised: torch.Tensor = x - sigma * (no + (yes - no) * ASKED["cfgscale"])
        return denoised

    def pictures(self, x: torch.Tensor) -> torch.Tensor:
        """(n, height, width, 3), 0 to 255."""
        made: torch.Tensor = self.vae.decode(x / self.vae.config.scaling_factor).sample
        return (made / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1) * 255

    @staticmethod
    def _table() -> torch.Tensor:
        kept = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, dim=0)
        return (((1 - kept) / kept) ** 0.5).float()


def started(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def in_a_row(seed: int, count: int, _sigmas: list[float]) -> Draw:
    generator = torch.Generator().manual_seed(seed + 1)
    return lambda _high, _low: torch.randn((count, *SHAPE), generator=generator)


def along_a_path(seed: int, count: int, sigmas: list[float]) -> Draw:
    lowest, highest = round(min(sigmas[:-1]), 6), round(sigmas[0], 6)
    tree = BrownianTree(lowest, torch.zeros(count, *SHAPE), highest, entropy=seed)
    return lambda high, low: -tree(max(low, lowest), min(high, highest)) / sqrt(high - low)


def ancestral(sigma: float, nxt: float) -> tuple[float, float]:
    up = min(nxt, sqrt(nxt**2 * (sigma**2 - nxt**2) / sigma**2))
    return sqrt(nxt**2 - up**2), up


def euler_ancestral(ask: Ask, x: torch.Tensor, sigmas: list[float], draw: Draw) -> torch.Tensor:
    for sigma, nxt in pairwise(sigmas):
        denoised, (down, up) = ask(x, sigma), ancestral(sigma, nxt)
        x = x + (x - denoised) / sigma * (down - sigma)
        x = x if nxt == 0 else x + draw(sigma, nxt) * up
    return x


def lcm(ask: Ask, x: torch.Tensor, sigmas: list[float], draw: Draw) -> torch.Tensor:
    for sigma, nxt in pairwise(sigmas):
        x = ask(x, sigma)
        x = x if nxt == 0 else x + draw(sigma, nxt) * nxt
    return x


def ddpm(ask: Ask, x: torch.Tensor, sigmas: list[float], draw: Draw) -> torch.Tensor:
    for sigma, nxt in pairwise(sigmas):
        noise = (x - ask(x, sigma)) / sigma
        kept, then = 1 / (sigma**2 + 1), 1 / (nxt**2 + 1)
        alpha = kept / then
        mean = (x * sqrt(kept) - noise * ((1 - alpha) / sqrt(1 - kept))) / sqrt(alpha)
        if nxt > 0:
            mean = mean + draw(sigma, nxt) * sqrt((1 - alpha) * (1 - then) / (1 - kept))
        x = mean / sqrt(then)
    return x


def dpmpp_2m_sde(ask: Ask, x: torch.Tensor, sigmas: list[float], draw: Draw) -> torch.Tensor:
    before: tuple[torch.Tensor, float] | None = None
    for sigma, nxt in pairwise(sigmas):
        denoised = ask(x, sigma)
        if nxt == 0:
            return denoised
        h = log(sigma) - log(nxt)
        x = x * (nxt / sigma * exp(-h)) - denoised * expm1(-2 * h)
        if before is not None:
            x = x - (denoised - before[0]) * (0.5 * expm1(-2 * h) * h / before[1])
        x = x + draw(sigma, nxt) * (nxt * sqrt(-expm1(-2 * h)))
        before = denoised, h
    return x


def dpmpp_sde(ask: Ask, x: torch.Tensor, sigmas: list[float], draw: Draw) -> torch.Tensor:
    for sigma, nxt in pairwise(sigmas):
        denoised = ask(x, sigma)
        if nxt == 0:
            return denoised
        middle = sqrt(sigma * nxt)
        down, up = ancestral(sigma, middle)
        trial = x * (down / sigma) + denoised * (1 - down / sigma) + draw(sigma, middle) * up
        down, up = ancestral(sigma, nxt)
        x = x * (down / sigma) + ask(trial, middle) * (1 - down / sigma) + draw(sigma, nxt) * up
    return x


SOLVERS = {
    "euler_ancestral": (euler_ancestral, in_a_row),
    "lcm": (lcm, in_a_row),
    "ddpm": (ddpm, in_a_row),
    "dpmpp_2m_sde": (dpmpp_2m_sde, along_a_path),
    "dpmpp_sde": (dpmpp_sde, along_a_path),
    "dpmpp_sde_gpu": (dpmpp_sde, along_a_path),
}


def expected(oracle: Oracle, sampler: str, noise: torch.Tensor, seed: int = SEEDS[0]) -> torch.Tensor:
    """What the batch that begins with `noise` (n, C, h, w) comes to, as latents."""
    solve, drawn = SOLVERS[sampler]
    sigmas = oracle.sigmas()
    return solve(oracle.ask, noise * sqrt(1 + sigmas[0] ** 2), sigmas, drawn(seed, len(noise), sigmas))


def made_by(bench: Bench, file: ModelFile, seeds: tuple[int, ...] = SEEDS, **more: Any) -> torch.Tensor:
    id = bench.submit(file, seeds, **{**ASKED, **more})
    bench.finish()
    return torch.stack([bench.pixels(id, index) for index in range(len(seeds))])


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


@pytest.mark.parametrize("sampler", SOLVERS)
def test_a_batch_is_one_tensor(
    bench: Bench, tiny: Mapping[str, Tiny], files: Mapping[str, ModelFile], sampler: str
) -> None:
    oracle = Oracle(tiny[SD])
    pictures = oracle.pictures(expected(oracle, sampler, torch.stack([started(seed) for seed in SEEDS])))
    found = made_by(bench, files[SD], sampler=sampler)
    assert apart(found, pictures) <= 1.0
    # The starts are those of the seeds alone, the noise of steps is not.
    assert apart(found[2], made_by(bench, files[SD], (SEEDS[2],), sampler=sampler)[0]) > 3.0


def test_variations_of_a_seed_take_their_parts_too(
    bench: Bench, tiny: Mapping[str, Tiny], files: Mapping[str, ModelFile]
) -> None:
    oracle, own = Oracle(tiny[SD]), started(11)
    noises = []
    for other in (started(40), started(41)):
        unit, turned = own / own.norm(dim=1, keepdim=True), other / other.norm(dim=1, keepdim=True)
        omega = (unit * turned).sum(1).acos()
        first, second = (
            (torch.sin(share * omega) / omega.sin())[:, None] * one for share, one in ((0.7, own), (0.3, other))
        )
        noises.append(first + second)
    pictures = oracle.pictures(expected(oracle, "euler_ancestral", torch.stack(noises)))
    asked: dict[str, Any] = {"variationseed": 40, "variationseedstrength": 0.3, "variation_seeds": (40, 41)}
    assert apart(made_by(bench, files[SD], (11, 11), sampler="euler_ancestral", **asked), pictures) <= 1.0


def test_the_refine_stage_is_a_batch_of_its_own(
    bench: Bench, tiny: Mapping[str, Tiny], files: Mapping[str, ModelFile]
) -> None:
    """From the next seed on, for the starts as well as for what its steps draw."""
    oracle = Oracle(tiny[SD])
    sigmas = oracle.sigmas()[STEPS // 2 :]
    x = expected(oracle, "euler_ancestral", torch.stack([started(seed) for seed in SEEDS]))
    x = x + torch.stack([started(seed + 1) for seed in SEEDS]) * sigmas[0]
    x = euler_ancestral(oracle.ask, x, sigmas, in_a_row(SEEDS[0] + 1, len(SEEDS), sigmas))
    asked: dict[str, Any] = {
        "refinermethod": "PostApply",
        "refinercontrolpercentage": 0.5,
        "sampler": "euler_ancestral",
    }
    assert apart(made_by(bench, files[SD], **asked), oracle.pictures(x)) <= 1.0


def test_it_does_not_matter_which_pictures_share_a_call(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    with torch.inference_mode():
        narrow = new_bench(limit=2)
        for sampler in ("euler_ancestral", "dpmpp_sde"):
            together = made_by(bench, files[SD], sampler=sampler)
            # One after the other, each from its first step to its last.
            assert apart(made_by(narrow, files[SD], sampler=sampler), together) <= 1.0
            # The same job twice draws from the same sources; one of them is given up on the way.
            gone, kept = (narrow.submit(files[SD], SEEDS, **{**ASKED, "sampler": sampler}) for _ in range(2))
            while not any(isinstance(event, StepDone) for event in narrow.events(gone)):
                narrow.turn()
            narrow.cancel(gone)
            narrow.finish()
            assert not any(isinstance(event, ImageDone) for event in narrow.events(gone))
            assert apart(torch.stack([narrow.pixels(kept, index) for index in range(3)]), together) <= 1.0


# -- one picture of a batch, walked by hand ----------------------------------------------------------------------


def walk_of(bench: Bench, file: ModelFile, batch: Batch, first: int = SEEDS[0], **values: Any) -> Sampling:
    """The walk of a picture in the batch that begins with the seed `first`."""
    of = Pass(input=GenerationInput({**ASKED, **values}), model=file, seed=first + batch.ahead, batch=batch)
    return Sampling(bench.models.ready(of), methods(), of)


def latent_of(walk: Sampling, model: Model) -> torch.Tensor:
    while walk.question is not None:
        walk.answer(model.answers(walk.rows()))
    assert walk.latent is not None
    return walk.latent


@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2m_sde"])
def test_a_picture_needs_none_of_the_others(
    bench: Bench, tiny: Mapping[str, Tiny], files: Mapping[str, ModelFile], sampler: str
) -> None:
    """Walked without any of its batch, or when the first has left on its way, it is what it is among them."""
    oracle = Oracle(tiny[SD])
    whole = oracle.pictures(expected(oracle, sampler, torch.stack([started(seed) for seed in SEEDS])))
    place = partial(Batch, size=3)
    alone = walk_of(bench, files[SD], place(index=2, ahead=2), sampler=sampler)
    assert apart(oracle.pictures(latent_of(alone, alone.model))[0], whole[2]) <= 1.0
    first, other = (walk_of(bench, files[SD], place(index=at, ahead=at), sampler=sampler) for at in (0, 1))
    first.answer(first.model.answers(first.rows()))
    first.close()
    assert apart(oracle.pictures(latent_of(other, other.model))[0], whole[1]) <= 1.0


def test_what_is_drawn_once_for_a_batch(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    """The noise on an init image is the same for all; ddim lays its part of one draw over what a mask keeps."""
    asked: dict[str, Any] = {"initimage": picture_of((200, 90, 10), 64), "initimagenoise": 0.5}
    places = Batch(size=2), Batch(index=1, size=2, ahead=1)
    noised = [walk_of(bench, files[SD], place, **asked).context.latent for place in places]
    assert torch.equal(*noised)
    assert not torch.equal(noised[1], walk_of(bench, files[SD], Batch(), SEEDS[1], **asked).context.latent)
    drawn = torch.randn((2, *SHAPE), generator=torch.Generator().manual_seed(SEEDS[0] + 1))
    masked: dict[str, Any] = {"initimage": picture_of((200, 90, 10), 64), "maskimage": picture_of((255, 255, 255), 64)}
    for place in places:
        context = walk_of(bench, files[SD], place, sampler="ddim", **masked).context
        context.x, context.sigma = torch.zeros(1, *SHAPE), 2.0
        context.memory["latent_mask"] = torch.zeros(1, 1, *SHAPE[1:])
        keep_the_rest.run(context)
        kept = context.memory["kept"]
        torch.testing.assert_close((context.x - kept) / 2.0, drawn[place.index][None], atol=1e-4, rtol=1e-4)


def test_references_are_pictures_before_the_first(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    asked: dict[str, Any] = {"promptimages": (picture_of((250, 20, 20), 64),), "usereferenceonly": True}
    context = walk_of(bench, files[SD], Batch(index=1, size=2, ahead=1), **asked).context
    assert context.batch == Batch(index=2, size=3, ahead=1)
    assert torch.equal(context.noise[0], started(SEEDS[0] + 2))
