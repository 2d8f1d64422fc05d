"""Noise levels as shares of the training."""

from __future__ import annotations

import pytest

from swarm.diffusion.sigmas import SigmaTable
from swarm.diffusion.space import Space

TABLES = {
    "betas": SigmaTable.scaled_linear(),
    "no signal at the end": SigmaTable.scaled_linear(zero_snr=True),
    "flow": SigmaTable.flow(1.0),
    "shifted": SigmaTable.flow(3.0),
}


@pytest.mark.parametrize("name", TABLES)
def test_shares_and_levels_are_one_anothers_inverse(name: str) -> None:
    space = Space(TABLES[name])
    for share in (0.001, 0.25, 0.5, 0.9, 0.999):
        assert space.share_at(space.sigma_after(share)) == pytest.approx(share, abs=1e-6)


def test_a_distilled_model_counts_the_timesteps_it_came_from() -> None:
    space = Space(SigmaTable.scaled_linear().distilled(20))
    assert space.share_at(space.table.sigma_max) == 0.0
    assert space.share_at(space.sigma_after(0.5)) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("name", TABLES)
def test_levels_outside_are_the_ends(name: str) -> None:
    space = Space(TABLES[name])
    assert space.share_at(1e-9) == pytest.approx(1.0, abs=1e-6)
    assert space.share_at(1e9) == space.share_at(space.table.sigma_max) == pytest.approx(0.0, abs=1e-6)
