"""What leads a walk otherwise than plain guidance does draws the picture that it draws in ComfyUI."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, XL, Bench
from tests.parity.recorded import DETERMINISTIC, expected, largest_difference

pytestmark = pytest.mark.torch

SETTINGS: dict[str, Any] = {"prompt": "a red fox in the snow", "negativeprompt": "blurry", "steps": 4, "cfgscale": 6.0}
SETTINGS |= {"seed": 7, "sampler": "euler", "scheduler": "normal"}
FREEU = {"freeuapplyto": "Both", "freeublockone": 1.4, "freeublocktwo": 1.6, "freeuskipone": 0.6, "freeuskiptwo": 0.2}
THRESHOLDS = {"dtmimicscale": 3.0, "dtthresholdpercentile": 0.95, "dtschedulervalue": 2.0, "cfgscale": 12.0}
NAG: dict[str, Any] = {"normalizedattentionguidancescale": 11.0, "normalizedattentionguidancealpha": 0.6}
NAG |= {"normalizedattentionguidancetau": 2.5, "negativeprompt": "rain and fog over a city"}
EASY: dict[str, Any] = {"easycachemode": "all", "steps": 14, "easycachestart": 0.15, "easycacheend": 0.95}
LARGE: dict[str, Any] = {"width": 256, "height": 192}
"""Self-attention guidance does nothing to smaller pictures. Of these, every fourth pixel is compared."""
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "plain xl": {"family": XL},
    "plain large": {**LARGE},
    "plain large without guidance": {**LARGE, "cfgscale": 1.0},
    "freeu": {**FREEU, "freeuversion": "1"},
    "freeu 2": {**LARGE, **FREEU, "freeuversion": "2"},
    "freeu 2 xl": {"family": XL, **FREEU, "freeuversion": "2"},
    "perturbed attention xl": {"family": XL, "perturbedattentionguidancescale": 5.0, "cfgscale": 1.0},
    "self-attention": {**LARGE, "selfattentionguidancescale": 3.0, "selfattentionguidancesigmablur": 1.5},
    "self-attention without guidance": {**LARGE, "selfattentionguidancescale": 3.0, "cfgscale": 1.0},
    "rescaled": {"rescalecfgmultiplier": 0.9},
    "renormed": {"renormcfg": 0.8},
    "renormed, not rescaled": {"renormcfg": 0.8, "rescalecfgmultiplier": 0.9},
    "zero star": {"usecfgzerostar": True},
    "damped": {"usetcfg": True},
    "damped and renormed": {"usetcfg": True, "renormcfg": 0.9, "usecfgzerostar": True},
    "thresholds": {**THRESHOLDS},
    "thresholds by deviation": {**THRESHOLDS, "dtvariabilitymeasure": "STD", "dtinterpolatephi": 0.7},
    "thresholds from zero": {**THRESHOLDS, "dtscalingstartpoint": "ZERO", "dtseparatefeaturechannels": False},
    "thresholds in change": {
        **THRESHOLDS,
        "dtcfgscalemode": "Cosine Down",
        "dtcfgscaleminimum": 4.0,
        "dtmimicscalemode": "Power Up",
    },
    "attention led away": {**NAG, **LARGE},
    "attention led away without guidance": {**NAG, **LARGE, "cfgscale": 1.0},
    "attention led away xl": {**NAG, "family": XL, "cfgscale": 1.0},
    "steps left out": {**EASY, "easycachethreshold": 0.3},
    "steps left out from here to there": {
        **EASY,
        "easycachethreshold": 0.6,
        "easycachestart": 0.3,
        "easycacheend": 0.8,
        "cfgscale": 1.0,
    },
    "seamless": {"seamlesstileable": "true"},
    "seamless across": {"seamlesstileable": "X-Only"},
    "seamless down xl": {"family": XL, "seamlesstileable": "Y-Only"},
}


@cache
def recorded() -> Mapping[str, Any]:
    return expected("patches_guidance")


def plain(case: str) -> str:
    """The case without the feature."""
    if "width" in CASES[case]:
        return "plain large without guidance" if CASES[case].get("cfgscale") == 1.0 else "plain large"
    return "plain xl" if CASES[case].get("family") == XL else "plain"


@pytest.mark.parametrize("case", CASES)
def test_guidance_draws_comfyuis_picture(bench: Bench, files: Mapping[str, ModelFile], case: str) -> None:
    values = {**SETTINGS, **CASES[case]}
    family, seed = values.pop("family", SD), values.pop("seed")
    found = bench.picture(files[family], seed, modelspecificenhancements=False, **values)
    if "width" in values:
        found = found[::4, ::4]
    wanted = recorded()[case]
    if not case.startswith("plain"):
        assert largest_difference(wanted, recorded()[plain(case)]) > (4 if "led away" in case else 10)
    assert largest_difference(found, wanted) <= DETERMINISTIC
