"""Schedules against their definitions, and the sigma tables they draw from."""

from __future__ import annotations

from itertools import pairwise
from math import atan, exp, log, tan

import pytest

from swarm.base.registry import collect
from swarm.diffusion import samplers, schedules
from swarm.diffusion.sampler import Sampler
from swarm.diffusion.schedule import Schedule, ScheduleOptions, sigmas_for
from swarm.diffusion.schedules.beta import quantile, regularized_beta
from swarm.diffusion.schedules.flux2 import bend
from swarm.diffusion.sigmas import SigmaTable
from swarm.diffusion.space import Space

SAMPLERS = collect(samplers, Sampler)
SCHEDULES = collect(schedules, Schedule)
TABLE = SigmaTable.scaled_linear()
PLAIN = ScheduleOptions()


def sigmas(id: str, n: int, options: ScheduleOptions = PLAIN, table: SigmaTable = TABLE) -> list[float]:
    return SCHEDULES[id].sigmas(n, table, options)


def test_the_table_of_stable_diffusion() -> None:
    """The range every user of these models knows."""
    assert len(TABLE.sigmas) == 1000
    assert TABLE.sigma_min == pytest.approx(0.0291671582, rel=1e-6)
    assert TABLE.sigma_max == pytest.approx(14.6146412293, rel=1e-6)


def test_timesteps_and_sigmas_are_each_others_inverse() -> None:
    for t in (0.0, 0.25, 10.5, 500.0, 998.75, 999.0):
        assert TABLE.t_of(TABLE.sigma_of(t)) == pytest.approx(t, abs=1e-6)
    assert TABLE.sigma_of(500) == TABLE.sigmas[500]
    assert TABLE.sigma_of(500.5) == pytest.approx(exp((log(TABLE.sigmas[500]) + log(TABLE.sigmas[501])) / 2))
    assert (TABLE.t_of(0.001), TABLE.t_of(100.0)) == (0.0, 999.0)
    assert TABLE.nearest_t(TABLE.sigma_of(500.4)) == 500.0


def test_zero_terminal_snr_keeps_the_first_and_drowns_the_last() -> None:
    table = SigmaTable.scaled_linear(zero_snr=True)
    assert table.sigma_min == pytest.approx(TABLE.sigma_min)
    assert table.sigma_max == pytest.approx(4518.76, rel=1e-4)
    assert all(low < high for low, high in pairwise(table.sigmas))


def test_flow_tables_are_shifted_shares_of_noise() -> None:
    assert SigmaTable.flow(1.0).sigma_of(250) == 0.25
    table = SigmaTable.flow(3.0)
    assert table.sigma_max == 1.0
    assert table.sigma_of(500) == pytest.approx(3 * 0.5 / (1 + 2 * 0.5))
    assert table.t_of(0.75) == 750.0


@pytest.mark.parametrize("id", SCHEDULES)
@pytest.mark.parametrize("n", [1, 2, 3, 10, 20, 25, 100])
def test_sigmas_fall_from_the_top_to_zero(id: str, n: int) -> None:
    answer = sigmas(id, n)
    assert all(high > low for high, low in pairwise(answer))
    assert answer[-1] == 0.0
    assert answer[0] <= TABLE.sigma_max * 1.0001
    if id not in ("turbo", "beta"):
        assert len(answer) == n + 1


@pytest.mark.parametrize("id", SCHEDULES)
def test_flow_shares_stay_shares(id: str) -> None:
    answer = sigmas(id, 8, table=SigmaTable.flow(3.0), options=ScheduleOptions(compat="flux-1"))
    assert all(1.0 >= high > low >= 0.0 for high, low in pairwise(answer))


def test_the_dropdown_stands_in_swarmuis_order() -> None:
    dropdown = (
        "normal karras exponential simple ddim_uniform sgm_uniform turbo align_your_steps beta linear_quadratic "
        "ltxv ltxv-image kl_optimal flux2 ideogram4 ideogram4turbo"
    )
    assert " ".join(each.id for each in sorted(SCHEDULES.values(), key=lambda each: each.order)) == dropdown


def test_some_samplers_drop_the_second_last_sigma() -> None:
    def visited(sampler: str, schedule: str, n: int) -> list[float]:
        return sigmas_for(SAMPLERS[sampler], SCHEDULES[schedule], n, TABLE, PLAIN)

    whole = sigmas("karras", 6)
    assert visited("dpm_2", "karras", 5) == [*whole[:5], 0.0]
    assert visited("uni_pc", "karras", 5) == [*whole[:5], 0.0]
    assert visited("euler", "karras", 6) == whole
    # Schedules tuned to certain levels keep them all.
    assert visited("dpm_2", "turbo", 4) == sigmas("turbo", 4)
    assert visited("euler", "karras", 0) == []
    asked = ScheduleOptions(sigma_min=0.1, sigma_max=9.0)
    narrow = sigmas("karras", 6, asked)
    for sampler, wanted in (("dpm_2", [*narrow[:5], 0.0]), ("uni_pc", sigmas("karras", 5, asked))):
        assert sigmas_for(SAMPLERS[sampler], SCHEDULES["karras"], 5, TABLE, asked) == wanted


def test_flux2_shifts_by_size_and_steps() -> None:
    """The two lines of its authors: mu for few steps and for many, 1024² being 4096 tokens."""
    few, many = 8.73809524e-05 * 4096 + 1.89833333, 0.00016927 * 4096 + 0.45666666
    assert bend(4096, 10) == pytest.approx(few)
    assert bend(4096, 200) == pytest.approx(many)
    assert bend(5000, 10) == bend(5000, 50) == pytest.approx(0.00016927 * 5000 + 0.45666666)
    assert sigmas("flux2", 2)[1] == pytest.approx(1 / (1 + exp(-bend(4096, 2))))


def test_ltxv_ends_its_share_at_a_tenth() -> None:
    answer = sigmas("ltxv-image", 8)
    assert (answer[0], answer[-2]) == pytest.approx((1.0, 0.1))
    small = sigmas("ltxv-image", 8, ScheduleOptions(cells=1024))
    assert small[4] < answer[4]
    assert sigmas("ltxv", 8) == sigmas("simple", 8)


def test_ideogram_takes_quantiles_of_a_logit_normal_distribution() -> None:
    at_base = ScheduleOptions(cells=32 * 32)
    answer = sigmas("ideogram4", 4, at_base)
    assert answer[2] == pytest.approx(0.5)
    assert answer[1] == pytest.approx(1 / (1 + exp(-1.75 * 0.6744897501960817)))
    assert answer[0] == pytest.approx(1 / (1 + exp(-9.0)))
    assert sigmas("ideogram4turbo", 4, at_base)[2] == pytest.approx(1 / (1 + exp(-0.5)))
    assert sigmas("ideogram4", 4)[2] == pytest.approx(1 / (1 + exp(-log(2))))


def test_continuous_levels_have_a_quarter_of_their_logarithm_as_timestep() -> None:
    table = SigmaTable.edm(0.002, 80.0)
    assert (table.sigma_min, table.sigma_max) == pytest.approx((0.002, 80.0))
    assert table.nearest_t(3.0) == table.t_of(3.0) == pytest.approx(log(3.0) / 4)
    assert table.sigma_of(table.t_of(3.0)) == pytest.approx(3.0)
    space = Space(table)
    assert (space.sigma_after(0.0), space.sigma_after(1.0)) == pytest.approx((80.0, 0.002))
    assert space.sigma_after(0.5) == pytest.approx(0.4)
    assert space.share_at(0.4) == pytest.approx(0.5)
    assert space.share_at(100.0) == 0.0


def test_normal_spaces_timesteps_evenly_with_both_ends() -> None:
    assert sigmas("normal", 4) == pytest.approx([*(TABLE.sigma_of(t) for t in (999, 666, 333, 0)), 0.0])
    assert sigmas("normal", 1) == [TABLE.sigma_max, 0.0]


def test_sgm_uniform_drops_the_last_timestep() -> None:
    assert sigmas("sgm_uniform", 3) == pytest.approx([*(TABLE.sigma_of(t) for t in (999, 666, 333)), 0.0])


def test_simple_strides_through_the_table() -> None:
    assert sigmas("simple", 3) == [TABLE.sigmas[999], TABLE.sigmas[999 - 333], TABLE.sigmas[999 - 666], 0.0]


def test_ddim_uniform_begins_at_the_second_entry() -> None:
    assert sigmas("ddim_uniform", 4) == [*(TABLE.sigmas[i] for i in (751, 501, 251, 1)), 0.0]
    assert len(sigmas("ddim_uniform", 30)) == 32


def test_karras_spaces_the_seventh_root_or_another() -> None:
    low, high = TABLE.sigma_min, TABLE.sigma_max
    middle = ((low ** (1 / 7) + high ** (1 / 7)) / 2) ** 7
    assert sigmas("karras", 3) == pytest.approx([high, middle, low, 0.0])
    asked = ScheduleOptions(rho=1.0, sigma_min=low, sigma_max=high)
    assert sigmas("karras", 3, asked)[1] == pytest.approx((low + high) / 2)
    # Without a range it is forgotten, as SwarmUI forgets it.
    assert sigmas("karras", 3, ScheduleOptions(rho=1.0)) == sigmas("karras", 3)


def test_exponential_keeps_the_ratio() -> None:
    first, second, third, _ = sigmas("exponential", 3)
    assert first / second == pytest.approx(second / third)


@pytest.mark.parametrize("id", ["karras", "exponential"])
def test_the_range_may_be_asked_for(id: str) -> None:
    assert sigmas(id, 5, ScheduleOptions(sigma_min=0.1, sigma_max=9.0))[::4] == pytest.approx([9.0, 0.1])
    assert sigmas(id, 5, ScheduleOptions(sigma_min=-1.0, sigma_max=9.0)) == sigmas(id, 5)
    assert sigmas(id, 5, ScheduleOptions(sigma_max=9.0)) == sigmas(id, 5)
    assert sigmas(id, 5, ScheduleOptions(sigma_min=0.0, sigma_max=9.0))[-2:] == pytest.approx([1e-4, 0.0])
    assert sigmas(id, 5, ScheduleOptions(sigma_min=9.0, sigma_max=0.1)) == sigmas(id, 5)


def test_kl_optimal_spaces_the_angle() -> None:
    middle = tan((atan(TABLE.sigma_min) + atan(TABLE.sigma_max)) / 2)
    assert sigmas("kl_optimal", 3) == pytest.approx([TABLE.sigma_max, middle, TABLE.sigma_min, 0.0])


def test_linear_quadratic_bends_smoothly_in_the_middle() -> None:
    shares = [1 - sigma / TABLE.sigma_max for sigma in sigmas("linear_quadratic", 1000)]
    assert shares[500] == pytest.approx(0.025)
    assert shares[501] - shares[500] == pytest.approx(shares[500] - shares[499], rel=0.2)
    assert sigmas("linear_quadratic", 1) == [TABLE.sigma_max, 0.0]


def test_turbo_has_ten_steps_at_most() -> None:
    assert sigmas("turbo", 2) == [TABLE.sigmas[999], TABLE.sigmas[899], 0.0]
    assert len(sigmas("turbo", 40)) == 11
    flux, edm = SigmaTable.flow(3.0, 10_000), SigmaTable.edm()
    assert sigmas("turbo", 2, table=flux)[:2] == pytest.approx([flux.sigma_of(9990), flux.sigma_of(8990)])
    assert sigmas("turbo", 2, table=edm) == [edm.sigmas[999], edm.sigmas[899], 0.0]


def test_align_your_steps_hits_the_published_table_at_ten_steps() -> None:
    assert sigmas("align_your_steps", 10)[:3] == pytest.approx([14.6146412293, 6.4745760956, 3.8636745985])
    xl = sigmas("align_your_steps", 10, ScheduleOptions(compat="stable-diffusion-xl-v1"))
    assert xl[1] == pytest.approx(6.3184485287)
    flux_2 = sigmas("align_your_steps", 10, ScheduleOptions(compat="flux-2"), SigmaTable.flow(3.0))
    assert flux_2[:2] == pytest.approx([0.9968, 0.9886])


def test_the_beta_distribution_is_right() -> None:
    """Values of scipy.stats.beta(0.6, 0.6)."""
    assert regularized_beta(0.5, 0.6, 0.6) == pytest.approx(0.5, abs=1e-12)
    assert quantile(0.5, 0.6, 0.6) == pytest.approx(0.5, abs=1e-9)
    assert regularized_beta(0.3, 1.0, 1.0) == pytest.approx(0.3)
    assert regularized_beta(0.3, 2.0, 1.0) == pytest.approx(0.09)
    assert regularized_beta(0.25, 0.5, 0.5) == pytest.approx(1 / 3)
    for share in (0.01, 0.1, 0.37, 0.9, 0.999):
        assert regularized_beta(quantile(share, 0.6, 0.6), 0.6, 0.6) == pytest.approx(share)


def test_beta_takes_table_entries_once() -> None:
    assert set(sigmas("beta", 20)[:-1]) <= set(TABLE.sigmas)
    assert sigmas("beta", 20)[0] == TABLE.sigma_max
    assert len(sigmas("beta", 900)) < 901
