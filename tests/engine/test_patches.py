"""Features that change the model's modules while their pictures run: they act, they agree with a reference, they leave
no trace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.utils.torch_utils import apply_freeu

from swarm.features.alternate_guidance import RENORM_CFG
from swarm.features.dynamic_thresholding import calmed_to, changing
from swarm.features.freeu import FREEU, dampened
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Pass
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, XL, Bench
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch

ACTING: tuple[dict[str, Any], ...] = (
    {"freeuapplyto": "Both"},
    {"freeuapplyto": "Base", "freeuversion": "2"},
    {"seamlesstileable": "true"},
    {"seamlesstileable": "X-Only"},
    {"dtmimicscale": 3.0},
    {"dtmimicscale": 3.0, "dtscalingstartpoint": "ZERO", "dtvariabilitymeasure": "STD"},
    {"dtmimicscale": 3.0, "dtseparatefeaturechannels": False, "dtthresholdpercentile": 0.9},
    {"selfattentionguidancescale": 1.0},
    {"usecfgzerostar": True},
    {"usetcfg": True},
    {"renormcfg": 0.5},
    {"shiftedlatentaverageinit": True},
)
NEUTRAL: tuple[dict[str, Any], ...] = (
    {"freeuapplyto": "Refiner"},
    {"freeuapplyto": "Both", "freeublockone": 1.0, "freeublocktwo": 1.0, "freeuskipone": 1.0, "freeuskiptwo": 1.0},
    {"seamlesstileable": "false"},
    {"dtmimicscale": 8.0},
    {"dtmimicscale": 3.0, "dtinterpolatephi": 0.0},
    {"selfattentionguidancescale": 0.0},
    {"perturbedattentionguidancescale": 0.0},
    {"usecfgzerostar": False, "usetcfg": False, "renormcfg": 100.0},
    {"vaetilesize": 256},
)
BASE: dict[str, Any] = {"steps": 3, "cfgscale": 8.0, "width": 128, "height": 128}


@pytest.mark.parametrize("values", ACTING, ids=str)
def test_it_acts_and_leaves_no_trace(bench: Bench, files: Mapping[str, ModelFile], values: dict[str, Any]) -> None:
    plain = bench.picture(files[SD], 3, **BASE)
    assert (bench.picture(files[SD], 3, **BASE, **values) - plain).abs().max() > 1.0
    assert torch.equal(bench.picture(files[SD], 3, **BASE), plain)


def test_disturbed_attention_guides_where_attention_matters(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    plain = bench.picture(files[XL], 3, **BASE)
    guided = bench.picture(files[XL], 3, **BASE, perturbedattentionguidancescale=60.0)
    assert (guided - plain).abs().max() > 1.0
    assert torch.equal(bench.picture(files[XL], 3, **BASE), plain)


@pytest.mark.parametrize("values", NEUTRAL, ids=str)
def test_it_changes_nothing_when_set_to_nothing(
    bench: Bench, files: Mapping[str, ModelFile], values: dict[str, Any]
) -> None:
    plain = bench.picture(files[SD], 3, **BASE)
    assert (bench.picture(files[SD], 3, **BASE, **values) - plain).abs().max() <= 1.0


def test_pictures_with_and_without_share_the_engine_but_not_a_call(
    bench: Bench, files: Mapping[str, ModelFile]
) -> None:
    alone = [bench.picture(files[XL], 4), bench.picture(files[XL], 4, seamlesstileable="true")]
    ids = [bench.submit(files[XL], (4,)), bench.submit(files[XL], (4,), seamlesstileable="true")]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


@pytest.mark.parametrize(("axes", "across", "down"), [("X-Only", True, False), ("Y-Only", False, True)])
def test_a_tileable_picture_of_a_turned_latent_is_the_turned_picture(
    bench: Bench, files: Mapping[str, ModelFile], axes: str, across: bool, down: bool
) -> None:
    """With wrapped borders a convolution does not know where the picture begins."""
    import swarm.features.seamless as seamless
    from swarm.jobs.stage import Patched

    model = bench.models.loaded(files[SD], {})
    unet, vae = model.components.denoiser, model.components.vae
    modules = Patched(denoiser=unet, vae=vae.module, text=(), tiles=lambda *_: None, untile=lambda: None)
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        undo = seamless.SEAMLESS.apply(modules, axes)
        for axis, wraps in ((3, across), (2, down)):
            whole, turned = vae.decode(latent), vae.decode(latent.roll(3, axis))
            same = (whole.roll(24, axis) - turned).abs().max() < 1e-4
            assert bool(same) is wraps
        undo()


def test_skip_features_are_dampened_as_the_reference_does() -> None:
    skip = torch.randn(2, 6, 16, 16, generator=torch.Generator().manual_seed(0))
    _, expected = apply_freeu(0, skip.clone(), skip.clone(), s1=0.3, s2=0.2, b1=1.0, b2=1.0)
    torch.testing.assert_close(dampened(skip, 0.3), expected, rtol=1e-4, atol=1e-5)


def test_freeu_stays_with_the_model_it_was_put_into() -> None:
    model = ModelFile(name="a", path=Path("a"), family=SD, stamp="1")

    def acts(name: str, apply_to: str, **more: Any) -> bool:
        request = GenerationInput({"freeuapplyto": apply_to, **more})
        return FREEU.key(Pass(input=request, model=model, seed=1, name=name)) is not None

    assert acts("base", "Base") and acts("refiner", "Base") and acts("segment", "Base")
    assert not acts("base", "Refiner") and not acts("refiner", "Refiner")
    assert acts("refiner", "Refiner", refinermodel="b") and not acts("refiner", "Base", refinermodel="b")
    assert acts("base", "Both", refinermodel="b") and acts("refiner", "Both", refinermodel="b")


def test_freeu_finds_its_features_and_is_undone_to_the_last_bit(tiny: Mapping[str, Tiny]) -> None:
    from swarm.features.freeu import FREEU
    from swarm.jobs.stage import Patched

    unet = tiny[XL].unet
    x, steps = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1)), torch.tensor([500.0])
    words = torch.randn(1, 77, 96, generator=torch.Generator().manual_seed(2))
    added = {"text_embeds": torch.zeros(1, 64), "time_ids": torch.zeros(1, 6)}
    with torch.inference_mode():
        plain = unet(x, steps, words, added_cond_kwargs=added).sample
        modules = Patched(denoiser=unet, vae=None, text=(), tiles=lambda *_: None, untile=lambda: None)
        undo = FREEU.apply(modules, (1, 1.4, 1.6, 0.9, 0.2))
        changed = unet(x, steps, words, added_cond_kwargs=added).sample
        undo()
        assert torch.equal(unet(x, steps, words, added_cond_kwargs=added).sample, plain)
    assert (changed - plain).abs().max() > 1e-3


def test_scales_change_along_the_way_as_their_modes_say() -> None:
    ends = {
        "Constant": (7.0, 7.0), "Linear Down": (7.0, 1.0), "Cosine Down": (7.0, 1.0), "Linear Up": (1.0, 7.0),
        "Cosine Up": (1.0, 7.0), "Power Up": (1.0, 7.0), "Power Down": (7.0, 1.0), "Half Cosine Up": (1.0, 3.7582),
        "Half Cosine Down": (7.0, 4.2418), "Linear Repeating": (7.0, 7.0), "Cosine Repeating": (7.0, 7.0),
    }  # fmt: skip
    for mode, (first, last) in ends.items():
        assert changing(7.0, mode, 1.0, 0.0, 4.0) == pytest.approx(first, abs=1e-3), mode
        assert changing(7.0, mode, 1.0, 1.0, 4.0) == pytest.approx(last, abs=1e-3), mode


def test_thresholding_gives_the_spread_of_the_lower_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    lower = torch.randn(1, 4, 8, 8, generator=generator)
    higher = lower * 3.0 + 0.5
    calm = calmed_to(higher, lower, GenerationInput())
    spread = [(values - values.mean(dim=(2, 3), keepdim=True)).abs().amax(dim=(2, 3)) for values in (calm, lower)]
    torch.testing.assert_close(*spread)
    deviation = GenerationInput({"dtvariabilitymeasure": "STD"})
    torch.testing.assert_close(calmed_to(higher, lower, deviation).std(dim=(2, 3)), lower.std(dim=(2, 3)))


def test_renorm_is_ignored_at_zero() -> None:
    assert RENORM_CFG.ignore_if == "0"
