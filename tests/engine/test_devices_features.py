"""What features do inside a walk stays on the model's device and asks it for no number back (see far.py)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import swarm.features
from swarm.base.registry import collect
from swarm.diffusion import samplers
from swarm.diffusion.sampler import Sampler
from swarm.diffusion.sigmas import SigmaTable
from swarm.diffusion.space import Space
from swarm.engine.decode import decode
from swarm.engine.memory import Models
from swarm.engine.runner import Methods, Model
from swarm.engine.start import families, methods
from swarm.engine.step_noise import BrownianDraws, StepNoise, noise_for
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Pass
from swarm.media.image import Picture
from swarm.params.param import Param
from tests.engine.conftest import SD
from tests.engine.far import ELSEWHERE, FAR, SIDE, Halving, far, pass_of, walk
from tests.engine.flow_oracle import model
from tests.support.tiny.flux import DEV

pytestmark = pytest.mark.torch
FLUX = DEV.id
READS_BACK = ("dpm_adaptive",)
"""Chooses its steps by the errors it finds, which it must know."""


def picture(level: int | None = None) -> Picture:
    shape = (SIDE, SIDE, 3)
    levels = np.random.default_rng(5).integers(0, 255, shape) if level is None else np.full(shape, level)
    file = io.BytesIO()
    Image.fromarray(levels.astype(np.uint8)).save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


@pytest.fixture(scope="module")
def known() -> Methods:
    return methods()


@pytest.fixture(scope="module")
def all_files(files: Mapping[str, ModelFile], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ModelFile]:
    return {**files, FLUX: model(DEV, DEV.make(tmp_path_factory.mktemp("far"), layout="single"))}


@pytest.fixture(scope="module")
def found(all_files: Mapping[str, ModelFile]) -> Mapping[str, Model]:
    return {name: far(all_files[name]) for name in (SD, FLUX)}


@pytest.fixture(scope="module")
def quick(found: Mapping[str, Model]) -> Mapping[str, Model]:
    """The same without their networks, which take most of the time."""
    return {name: replace(model, denoiser=Halving(model.denoiser)) for name, model in found.items()}


@pytest.fixture(scope="module")
def models(known: Methods) -> Models:
    return Models(FAR, families(), lambda: 0.0, known.patches)


INSIDE: dict[str, dict[str, Any]] = {
    "init image": {"initimage": picture(), "initimagecreativity": 0.5, "initimagenoise": 0.3},
    "reset": {"initimage": picture(), "initimagecreativity": 0.5, "initimageresettonorm": 0.5},
    "mask": {"initimage": picture(), "maskimage": picture(140), "initimagecreativity": 1.0, "initimagenoise": 0.3,
             "initimageresettonorm": 0.5},
    "simple mask": {"initimage": picture(), "maskimage": picture(140), "maskbehavior": "Simple Latent"},
    "inpainting encode": {"initimage": picture(), "maskimage": picture(140), "useinpaintingencode": True},
    "ddim mask": {"initimage": picture(), "maskimage": picture(140), "sampler": "ddim"},
    "variation": {"variationseedstrength": 0.4, "variation_seed": 9},
    "regions": {"prompt": "a boat <region:0.5,0,0.5,1//cid=11> snow <region:background> trees"},
    "changing prompt": {"prompt": "a [fox:cat:0.5]"},
    "thresholding": {"dtmimicscale": 4.0, "dtthresholdpercentile": 0.9},
    "thresholding by spread": {"dtmimicscale": 4.0, "dtvariabilitymeasure": "STD", "dtseparatefeaturechannels": False},
    "renorm": {"renormcfg": 1.0},
    "cfg zero": {"usecfgzerostar": True},
    "tcfg": {"usetcfg": True},
    "rescale": {"rescalecfgmultiplier": 0.7},
    "average": {"shiftedlatentaverageinit": True},
}  # fmt: skip


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("family", [SD, FLUX])
def test_a_feature_inside_a_walk(
    quick: Mapping[str, Model], all_files: Mapping[str, ModelFile], known: Methods, family: str, name: str
) -> None:
    walk(quick[family], known, pass_of(all_files[family], **INSIDE[name]))


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "perturbed attention": (SD, {"perturbedattentionguidancescale": 3.0}),
    "self-attention": (SD, {"selfattentionguidancescale": 0.5}),
    "regions": (FLUX, {"prompt": "a boat <region:0.5,0,0.5,1//cid=11> snow"}),
    "guidance number": (FLUX, {"fluxguidancescale": 4.0}),
    "no guidance number": (FLUX, {"fluxguidancescale": -1.0}),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_feature_of_the_networks_own(
    found: Mapping[str, Model], all_files: Mapping[str, ModelFile], known: Methods, name: str
) -> None:
    family, values = CALLS[name]
    walk(found[family], known, pass_of(all_files[family], **values, steps=2))


PATCHES: dict[str, dict[str, Any]] = {
    "freeu": {"freeuapplyto": "Both"},
    "freeu 2": {"freeuapplyto": "Both", "freeuversion": "2"},
    "seamless": {"seamlesstileable": "true"},
    "seamless across": {"seamlesstileable": "X-Only"},
    "vae_tiles": {"vaetilesize": 64, "vaetileoverlap": 16},
}


@pytest.mark.parametrize("name", PATCHES)
@pytest.mark.parametrize("family", [SD])
def test_a_patch(models: Models, all_files: Mapping[str, ModelFile], known: Methods, family: str, name: str) -> None:
    of = pass_of(all_files[family], **PATCHES[name], steps=2)
    assert [id for id, _key in models.key(of).patches] == [name.partition(" ")[0]]
    with torch.inference_mode():
        patched = models.ready(of)
        image = decode(patched.components, FAR, [walk(patched, known, of)])
        models.ready(pass_of(all_files[family]))
    assert (image.device, tuple(image.shape)) == (ELSEWHERE, (1, 3, SIDE, SIDE))


DRAWN_THERE = ("dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde_gpu", "dpmpp_sde_gpu")
"""By a generator of the device's own, which only real devices have."""
SAMPLERS = collect(samplers, Sampler)


@pytest.mark.parametrize("sampler", sorted(set(SAMPLERS) - set(DRAWN_THERE)))
def test_a_sampler(
    quick: Mapping[str, Model], all_files: Mapping[str, ModelFile], known: Methods, sampler: str
) -> None:
    of = pass_of(all_files[SD], sampler=sampler, steps=4)
    if sampler in READS_BACK:
        with pytest.raises((RuntimeError, NotImplementedError), match="meta tensor"):
            walk(quick[SD], known, of)
    else:
        assert walk(quick[SD], known, of).device == ELSEWHERE


@pytest.mark.parametrize("sampler", DRAWN_THERE)
def test_noise_that_is_drawn_on_the_device(sampler: str) -> None:
    assert SAMPLERS[sampler].noise == "brownian-device"
    space = Space(SigmaTable.flow(1.0, 1000))
    noise = noise_for(SAMPLERS[sampler].noise, 1, (4, 8, 8), ELSEWHERE, space, [0.9, 0.5, 0.0])
    assert isinstance(noise, StepNoise)
    assert isinstance(noise.draws, BrownianDraws)
    assert noise.draws.source.drawn_on == ELSEWHERE


def test_every_request_here_says_something() -> None:
    params = {param.id for param in collect(swarm.features, Param).values()} | set(Pass.__dataclass_fields__)
    for values in (*INSIDE.values(), *PATCHES.values(), *(values for _family, values in CALLS.values())):
        assert set(values) <= params
