"""Noise: the same everywhere, varied along the stated axis, drawn in order or along a path that agrees with itself."""

from __future__ import annotations

import pytest
import torch
from torchsde import BrownianTree

from swarm.base.registry import collect
from swarm.diffusion import samplers, schedules
from swarm.diffusion.sampler import Noise, NoiseKind, Sampler
from swarm.diffusion.schedule import Schedule, ScheduleOptions
from swarm.diffusion.sigmas import SigmaTable
from swarm.diffusion.space import Space
from swarm.engine.latents import seeded_noise, varied
from swarm.engine.step_noise import Sources, StepDraws, StepNoise, noise_for, step_generator
from swarm.jobs.stage import Batch

pytestmark = pytest.mark.torch
SHAPE = (4, 16, 16)


def test_a_seed_is_a_torch_cpu_seed() -> None:
    expected = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(11))
    assert torch.equal(seeded_noise(11, SHAPE), expected)
    assert not torch.equal(seeded_noise(12, SHAPE), expected)


def test_variation_turns_from_one_noise_to_the_other() -> None:
    one, other = seeded_noise(1, SHAPE), seeded_noise(2, SHAPE)
    torch.testing.assert_close(varied(one, other, 0.0), one)
    torch.testing.assert_close(varied(one, other, 1.0), other)
    assert 0.9 < float(varied(one, other, 0.5).std()) < 1.1
    torch.testing.assert_close(varied(one, one, 0.5), one)


CPU = torch.device("cpu")
SPACE = Space(SigmaTable.scaled_linear())
SIGMAS = (9.0, 4.0, 1.5, 0.2, 0.0)


def noise(kind: NoiseKind, seed: int = 3, shape: tuple[int, int, int] = SHAPE) -> Noise:
    return noise_for(kind, seed, shape, CPU, SPACE, SIGMAS)


def drawn(noise: Noise, start: float, end: float) -> torch.Tensor:
    answer = noise(start, end)
    assert isinstance(answer, torch.Tensor)
    return answer


def test_step_noise_is_drawn_in_order_one_past_the_seed() -> None:
    generator = torch.Generator().manual_seed(4)
    path = noise("steps")
    for way in ((9.0, 4.0), (9.0, 4.0), (1.5, 0.2)):
        assert torch.equal(drawn(path, *way), torch.randn(1, *SHAPE, generator=generator))


@pytest.mark.parametrize("kind", ["steps", "brownian", "brownian-device"])
def test_pictures_take_their_parts_of_one_draw_whoever_asks_first(kind: NoiseKind) -> None:
    """Also when one is far ahead, so that what was drawn for it is kept no longer."""
    shape, ways = (4, 3, 7), [(top, top - 1.0) for top in (9.0, 8.0, 7.0, 6.0, 5.0, 4.0)]
    known, places = Sources(), [Batch(index=index, size=3, ahead=index) for index in range(3)]
    whole = noise_for(kind, 3, (3 * 4, 3, 7), CPU, SPACE, SIGMAS)
    wanted = [drawn(whole, *way).reshape(3, *shape) for way in ways]
    parts = [noise_for(kind, 3, shape, CPU, SPACE, SIGMAS, place, known) for place in places]
    assert len(known) == 1
    for way, expected in zip(ways, wanted, strict=True):
        assert torch.equal(drawn(parts[2], *way)[0], expected[2])
    for way, expected in zip(ways, wanted, strict=True):
        assert torch.equal(drawn(parts[0], *way)[0], expected[0])
        assert torch.equal(drawn(parts[1], *way)[0], expected[1])
    del parts
    assert not known


def test_step_noise_is_drawn_where_the_model_is() -> None:
    """With the picture's own seed, where the device has a generator."""
    gpu = torch.device("cuda", 1)
    assert step_generator(gpu, 7) == (gpu, 7)
    assert step_generator(CPU, 7) == step_generator(torch.device("meta"), 7) == (CPU, 8)


def test_brownian_noise_is_torchsdes_tree_turned_downwards() -> None:
    path = noise("brownian")
    tree = BrownianTree(torch.tensor(0.2), torch.zeros(1, *SHAPE), torch.tensor(9.0), entropy=3)
    for high, low in ((9.0, 4.0), (4.0, 0.2), (7.0, 1.0)):
        expected = -tree(torch.tensor(low), torch.tensor(high)) / (high - low) ** 0.5
        torch.testing.assert_close(drawn(path, high, low), expected)


def test_brownian_noise_is_the_draw_everybody_gets() -> None:
    """Numbers of k-diffusion 0.1.1's sampler of a Brownian tree: seed 5, sigmas 0.2 to 9, four values each."""
    path = noise("brownian", 5, (2, 2, 2))
    first = [-0.4001673460006714, 0.5996824502944946, -0.22946831583976746, 0.5852261185646057]
    second = [-0.874379575252533, -0.7671334147453308, 0.4719717800617218, -0.7808027267456055]
    assert drawn(path, 9.0, 4.0).flatten()[:4].tolist() == pytest.approx(first, abs=1e-5)
    assert drawn(path, 4.0, 1.0).flatten()[:4].tolist() == pytest.approx(second, abs=1e-5)


@pytest.mark.parametrize("kind", ["steps", "brownian", "brownian-device"])
def test_steps_that_follow_each_other_get_fresh_normal_noise(kind: NoiseKind) -> None:
    path = noise(kind)
    made = [drawn(path, start, end) for start, end in ((9.0, 4.0), (4.0, 1.5), (1.5, 0.2))]
    for each in made:
        assert float(each.mean()) == pytest.approx(0, abs=0.1)
        assert float(each.std()) == pytest.approx(1, abs=0.1)
    assert abs(float((made[0] * made[1]).mean())) < 0.1
    assert torch.equal(drawn(noise(kind), 9.0, 4.0), made[0])


def test_ways_that_overlap_share_their_noise() -> None:
    path = noise("brownian")
    part, whole, rest = drawn(path, 9.0, 6.0), drawn(path, 9.0, 1.0), drawn(path, 6.0, 1.0)
    torch.testing.assert_close(whole * 8.0**0.5, part * 3.0**0.5 + rest * 5.0**0.5, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("table", [SigmaTable.scaled_linear(), SigmaTable.flow(3.0)], ids=["betas", "flow"])
@pytest.mark.parametrize("id", ["dpmpp_2m_sde", "dpmpp_sde", "dpmpp_3m_sde_gpu", "seeds_3"])
def test_noise_goes_with_any_schedule(id: str, table: SigmaTable) -> None:
    """Also at its very ends, where the tree has rounded them; a warning would fail this test."""
    sampler, space = collect(samplers, Sampler)[id], Space(table)
    for schedule in collect(schedules, Schedule).values():
        for steps in (1, 2, 4):
            sigmas = schedule.sigmas(steps, table, ScheduleOptions())
            noise = noise_for(sampler.noise, 3, (4, 2, 2), CPU, space, sigmas)
            run = sampler.run(torch.ones(1, 4, 2, 2), sigmas, noise)
            question = next(run)
            with pytest.raises(StopIteration) as end:
                while True:
                    question = run.send(question.x * 0.5)
            assert torch.isfinite(end.value.value).all()


def test_a_walk_of_one_step_to_zero_has_no_path() -> None:
    assert noise_for("brownian", 3, SHAPE, CPU, SPACE, (9.0, 0.0)).space is SPACE
    without = noise_for("brownian", 3, SHAPE, CPU, SPACE, ())
    assert isinstance(without, StepNoise)
    assert isinstance(without.draws, StepDraws)
