"""The UNet families beyond SD 1 and XL: SD 2 (v-prediction), the refiner, inpainting models, UNets without the rest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import EulerDiscreteScheduler
from safetensors.torch import load_file, save_file

from swarm.diffusion.schedule import ScheduleOptions
from swarm.diffusion.schedules.simple import simple
from swarm.diffusion.sigmas import SigmaTable
from swarm.engine.adapters.unet import UnetDenoiser, inpaint_channels
from swarm.engine.components import Components, TextOptions, Vae
from swarm.engine.device import choose_device
from swarm.engine.latents import seeded_noise
from swarm.engine.start import families
from swarm.jobs.job import ModelFile
from tests.engine.conftest import Bench
from tests.engine.flow_oracle import model, pixels
from tests.support.tiny import encoders, inpainting
from tests.support.tiny.autoencoders import original_kl, sd_vae
from tests.support.tiny.family import FOLDER, TinyFamily
from tests.support.tiny.sdxl_refiner import REFINER
from tests.support.tiny.stable_diffusion_2 import V_MODEL
from tests.support.tiny.weights import below, state

pytestmark = pytest.mark.torch
PROMPT, NEGATIVE = "a red fox in the snow", "blurry"
ASKED: dict[str, Any] = {
    "prompt": PROMPT,
    "negativeprompt": NEGATIVE,
    "steps": 4,
    "scheduler": "simple",
    "cfgscale": 4.0,
}
EVERY = (V_MODEL, REFINER, *inpainting.FAMILIES)


class GivenSigmas(EulerDiscreteScheduler):  # type: ignore[misc]
    """Euler along our sigmas."""

    given = simple.sigmas(4, SigmaTable.scaled_linear(), ScheduleOptions())

    def set_timesteps(self, num_inference_steps: int = 0, device: Any = None) -> None:
        table = SigmaTable.scaled_linear()
        self.sigmas = torch.tensor(self.given)
        self.timesteps = torch.tensor([table.nearest_t(sigma) for sigma in self.given[:-1]])
        self.num_inference_steps = len(self.timesteps)
        self._step_index = self._begin_index = None


def plain(family: TinyFamily) -> Any:
    pipe = family.reference()
    pipe.scheduler = GivenSigmas.from_config(pipe.scheduler.config)
    return pipe


def started(pipe: Any, seed: int) -> torch.Tensor:
    """Our noise, as the pipeline wants it."""
    top = pipe.scheduler.given[0]
    noise: torch.Tensor = seeded_noise(seed, (4, 8, 8)) * ((1 + top**2) ** 0.5 / float(pipe.scheduler.init_noise_sigma))
    return noise


def loaded(family: TinyFamily, folder: Path, layout: str = "single") -> Components:
    return families().load(model(family, family.make(folder, layout=layout)), choose_device(0, "auto"), {})


@pytest.mark.parametrize("layout", ["single", "folder", "sharded"])
def test_sd2_is_the_pipelines_picture(bench: Bench, tmp_path: Path, layout: str) -> None:
    pipe = plain(V_MODEL)
    result = pipe(
        prompt=PROMPT, negative_prompt=NEGATIVE, guidance_scale=4.0, height=64, width=64, num_inference_steps=4,
        latents=started(pipe, 7), output_type="pt",
    )  # fmt: skip
    expected = pixels(result)
    found = bench.picture(model(V_MODEL, V_MODEL.make(tmp_path, layout=layout)), 7, **ASKED)
    assert (found - expected).abs().max() <= 2.0
    assert expected.std() > 1.0


def test_a_request_says_what_is_predicted(bench: Bench, tmp_path: Path) -> None:
    file = model(V_MODEL, V_MODEL.make(tmp_path, layout="single"))
    own = bench.picture(file, 7, **ASKED)
    assert torch.equal(bench.picture(file, 7, **ASKED, overridepredictiontype="v"), own)
    made = {kind: bench.picture(file, 7, **ASKED, overridepredictiontype=kind)
            for kind in ("v-zsnr", "epsilon", "x0", "lcm", "sd3")}  # fmt: skip
    pictures = [own, *made.values()]
    for number, one in enumerate(pictures):
        assert all((one - other).abs().max() > 1.0 for other in pictures[:number]), number


def test_metadata_says_what_is_predicted(bench: Bench, tmp_path: Path) -> None:
    file = model(V_MODEL, V_MODEL.make(tmp_path, layout="single"))
    for said in ("epsilon", "v", "v-zsnr"):
        found = bench.picture(replace(file, prediction=said, stamp=said), 7, **ASKED)
        assert torch.equal(found, bench.picture(file, 7, **ASKED, overridepredictiontype=said)), said


def test_models_with_continuous_noise_levels_say_their_range(tmp_path: Path) -> None:
    tensors = load_file(V_MODEL.make(tmp_path, layout="single"))
    save_file({**tensors, "edm_vpred.sigma_max": torch.tensor([120.0])}, tmp_path / "edm.safetensors")
    components = families().load(model(V_MODEL, tmp_path / "edm.safetensors"), choose_device(0, "auto"), {})
    assert (components.prediction, components.table.continuous) == ("v_prediction", True)
    assert (components.table.sigma_min, components.table.sigma_max) == pytest.approx((0.002, 120.0))


def test_a_folders_scheduler_says_that_noise_levels_are_continuous(tmp_path: Path) -> None:
    folder = V_MODEL.make(tmp_path, layout=FOLDER)
    scheduler = {"_class_name": "EDMEulerScheduler", "sigma_min": 0.002, "sigma_max": 80.0}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    components = families().load(model(V_MODEL, folder), choose_device(0, "auto"), {})
    assert (components.prediction, components.table.continuous) == ("edm", True)
    # Such a model's latents are the VAE's own without each channel's mean and spread, by half.
    picture = torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)
    own = Vae.encoded(components.vae, picture)
    torch.testing.assert_close(components.vae.encode(picture)[:, 0], (own[:, 0] + 1.6574) / 8.4927 / 2)
    torch.testing.assert_close(components.vae.decode(components.vae.encode(picture)), Vae.decoded(components.vae, own))


def test_weights_tell_what_stable_diffusion_2_predicts(tmp_path: Path) -> None:
    path = V_MODEL.make(tmp_path, layout="single")
    assert loaded(V_MODEL, tmp_path).prediction == "v_prediction"
    tensors = load_file(path)
    tensors["model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"] *= 0.5
    save_file(tensors, tmp_path / "epsilon.safetensors")
    components = families().load(model(V_MODEL, tmp_path / "epsilon.safetensors"), choose_device(0, "auto"), {})
    assert components.prediction == "epsilon"


@pytest.mark.parametrize("family", EVERY, ids=lambda family: str(family.id))
def test_every_weight_arrives(tmp_path: Path, family: TinyFamily) -> None:
    found = loaded(family, tmp_path)
    weights = dict(found.denoiser.named_parameters())
    for name, weight in family.denoiser().named_parameters():
        assert torch.equal(weights[name], weight), name


def test_a_refiner_is_told_a_beauty_score(bench: Bench, tmp_path: Path) -> None:
    file = model(REFINER, REFINER.make(tmp_path, layout="single"))
    components = families().load(file, choose_device(0, "auto"), {})
    denoiser = UnetDenoiser(components, choose_device(0, "auto"))
    for enhanced in (False, True):
        assert denoiser.size_numbers(640, 512, enhanced=enhanced) == ((512, 640, 0, 0, 6.0), (512, 640, 0, 0, 2.5))
    pipe = plain(REFINER)
    told, against, summary, other = pipe.encode_prompt(
        PROMPT, negative_prompt=NEGATIVE, do_classifier_free_guidance=True
    )
    mine = components.text.encode(PROMPT, TextOptions())
    assert torch.allclose(mine.tokens, told, atol=1e-5)
    assert torch.allclose(mine.pooled, summary, atol=1e-5)
    assert not torch.allclose(told, against)
    assert not torch.allclose(summary, other)
    assert bench.picture(file, 1, **ASKED).std() > 1.0


def test_xl_is_told_larger_and_smaller_sizes(tmp_path: Path) -> None:
    family = inpainting.SDXL
    components = loaded(family, tmp_path)
    denoiser = UnetDenoiser(components, choose_device(0, "auto"))
    assert denoiser.size_numbers(1024, 768, enhanced=False) == (((768, 1024, 0, 0, 768, 1024),) * 2)
    large, small = denoiser.size_numbers(1024, 768, enhanced=True)
    assert (large, small) == ((1152, 1536, 0, 0, 768, 1024), (640, 832, 0, 0, 768, 1024))
    assert denoiser.size_numbers(1216, 832, enhanced=True)[0] == (1280, 1792, 0, 0, 832, 1216), "halves go to even"
    turbo = replace(components, architecture=replace(components.architecture, id="stable-diffusion-xl-turbo-v1"))
    plainly = UnetDenoiser(turbo, choose_device(0, "auto"))
    assert plainly.size_numbers(1024, 768, enhanced=True) == plainly.size_numbers(1024, 768, enhanced=False)


def test_enhancements_change_xl_only_and_can_be_left_out(bench: Bench, files: Any) -> None:
    for name, file in files.items():
        own = bench.picture(file, 1, **ASKED)
        plain_sizes = bench.picture(file, 1, **ASKED, modelspecificenhancements=False)
        assert ((own - plain_sizes).abs().max() > 1.0) == ("xl" in name)


@pytest.mark.parametrize("family", inpainting.FAMILIES, ids=lambda family: str(family.id))
def test_inpainting_networks_see_mask_and_picture(tmp_path: Path, family: TinyFamily) -> None:
    """The channels in the order diffusers gives them: latent, mask, masked picture."""
    found = loaded(family, tmp_path)
    latent, mask = seeded_noise(1, (4, 8, 8)), torch.zeros(1, 1, 64, 64)
    mask[..., 16:40, 8:64] = 1
    pipe = family.reference()
    small, around = pipe.prepare_mask_latents(
        mask, latent / 1.0, 1, 64, 64, torch.float32, torch.device("cpu"), None, False
    )
    made = inpaint_channels(found.denoiser, around, mask)
    assert made is not None
    assert torch.equal(made, torch.cat([small, around], dim=1))


@pytest.mark.parametrize("family", inpainting.FAMILIES, ids=lambda family: str(family.id))
def test_inpainting_networks_draw_from_nothing_too(bench: Bench, tmp_path: Path, family: TinyFamily) -> None:
    file = model(family, family.make(tmp_path, layout="single"))
    assert bench.picture(file, 3, steps=2).float().std() > 1.0


def test_plain_networks_see_nothing_beside(tmp_path: Path) -> None:
    assert (
        inpaint_channels(loaded(V_MODEL, tmp_path).denoiser, torch.zeros(1, 4, 8, 8), torch.ones(1, 1, 64, 64)) is None
    )


@pytest.mark.parametrize("names", ["original", "diffusers"])
def test_a_unet_alone_finds_its_companions(bench: Bench, tmp_path: Path, names: str) -> None:
    """As people keep them: the UNet in one file, text encoders and VAE in others."""
    family = inpainting.SDXL
    denoiser = family.denoiser()
    tensors = family.original() if names == "original" else state(denoiser)
    save_file({name: value.contiguous() for name, value in tensors.items()}, tmp_path / "unet.safetensors")
    written = {
        "clip_l": encoders.clip_file(tmp_path / "clip_l.safetensors", encoders.clip_l()),
        "clip_g": encoders.clip_file(tmp_path / "clip_g.safetensors", encoders.clip_g()),
        "vae": tmp_path / "vae.safetensors",
    }
    vae = sd_vae(0.13025)
    save_file(original_kl(vae) if names == "original" else state(vae), written["vae"])
    parts = {slot: ModelFile(name=path.name, path=path, family=None, stamp="1") for slot, path in written.items()}
    alone = families().load(model(family, tmp_path / "unet.safetensors"), choose_device(0, "auto"), parts)
    whole = loaded(family, tmp_path)
    for mine, other in zip(alone.modules, whole.modules, strict=True):
        weights = dict(mine.named_parameters())
        assert all(torch.allclose(weights[name], weight, atol=1e-3) for name, weight in other.named_parameters())
    assert (alone.vae.scale, alone.vae.factor) == (0.13025, 8)


def test_another_vae_takes_the_place_of_the_own(bench: Bench, tmp_path: Path) -> None:
    file = model(V_MODEL, V_MODEL.make(tmp_path, layout="single"))
    other = below("first_stage_model.", {name: value * 0.5 for name, value in original_kl(sd_vae(0.18215)).items()})
    save_file(other, tmp_path / "other.safetensors")
    part = ModelFile(name="other", path=tmp_path / "other.safetensors", family=None, stamp="1")
    id = bench.submit(file, (1,), **{**ASKED, "parts": {"vae": part}})
    bench.finish()
    assert (bench.pixels(id) - bench.picture(file, 1, **ASKED)).abs().max() > 2.0
