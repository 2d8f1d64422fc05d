"""Every family's header against every family's rule: exactly one fits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarm.architectures import families
from swarm.architectures.architecture import Architecture, wire_classes, wire_compat_classes
from swarm.architectures.detect import GENERIC_PIPELINE, detect, find_class
from swarm.architectures.header import Header, TensorInfo
from swarm.architectures.order import RANKS
from swarm.architectures.remaps import REMAPS
from swarm.base.registry import collect

ARCHITECTURES = collect(families, Architecture)
HEADERS = sorted((Path(__file__).parent.parent / "headers").glob("*.json"))


def read(path: Path) -> tuple[str, Header]:
    content = json.loads(path.read_text())
    tensors = {name: TensorInfo(dtype, tuple(shape)) for name, (dtype, shape) in content["tensors"].items()}
    return content["id"], Header(tensors, {}, content["name"])


@pytest.mark.parametrize("path", HEADERS, ids=lambda path: path.stem)
def test_exactly_one_family_fits(path: Path) -> None:
    expected, header = read(path)
    detection = detect(header, ARCHITECTURES)
    assert detection.found is ARCHITECTURES[expected]
    assert detection.reasons == (f"its tensors are those of {expected}",)


def test_every_rule_has_a_header() -> None:
    covered = {read(path)[0] for path in HEADERS}
    without = {id for id, architecture in ARCHITECTURES.items() if architecture.detect is not None} - covered
    assert without == set()


def test_every_class_of_the_contract_is_there() -> None:
    assert len(ARCHITECTURES) == 183, "the 173 classes of 0.9.8.2, seven newer ones, two of CogVideoX, and folders"
    assert set(RANKS) <= set(ARCHITECTURES)
    assert set(REMAPS.values()) <= set(ARCHITECTURES)
    without_rule = {id for id in RANKS if ARCHITECTURES[id].detect is None}
    assert without_rule == {"stable-diffusion-xl-v1-base"}, "told from 0.9 by a setting"


def test_a_file_that_fits_several_is_of_the_class_asked_for_first() -> None:
    both = [read(path)[1] for path in HEADERS if path.stem in ("hunyuan-video-vae", "stable-diffusion-v1")]
    found = detect(Header({**both[0].tensors, **both[1].tensors}), ARCHITECTURES)
    assert found.found is ARCHITECTURES["stable-diffusion-v1"]
    assert "hunyuan-video/vae would fit as well" in found.reasons


@pytest.mark.parametrize(
    ("metadata", "id"),
    [
        ({"modelspec.architecture": "stable-diffusion-xl-v1-base"}, "stable-diffusion-xl-v1-base"),
        ({"modelspec.architecture": "FLUX-1-Dev"}, "Flux.1-dev"),
        ({"modelspec.architecture": "", "architecture": "flux.1-ae"}, "flux.1/vae"),
        ({"modelspec.architecture": "never-heard-of"}, "stable-diffusion-v1"),
    ],
)
def test_metadata_goes_before_tensors(metadata: dict[str, str], id: str) -> None:
    _, header = read(next(path for path in HEADERS if path.stem == "stable-diffusion-v1"))
    found = detect(Header(header.tensors, metadata), ARCHITECTURES).found
    assert found is ARCHITECTURES[id]


def test_unknown_tensors_are_of_no_family() -> None:
    assert detect(Header({"x": TensorInfo("F16", (1,))}), ARCHITECTURES).found is None
    assert detect(Header({}), ARCHITECTURES).found is None
    assert find_class("", ARCHITECTURES) is None


@pytest.mark.parametrize(
    ("pipeline", "width", "id"),
    [
        ("StableDiffusionPipeline", "768", "stable-diffusion-v1"),
        ("StableDiffusionPipeline", None, "stable-diffusion-v1"),
        ("StableDiffusionPipeline", "1024", "stable-diffusion-v2-512"),
        ("StableDiffusionXLPipeline", "2048", "stable-diffusion-xl-v1-base"),
        ("FluxPipeline", None, "Flux.1-dev"),
        ("WanPipeline", None, "wan-2_1-text2video-1_3b"),
        ("SomethingNewPipeline", None, GENERIC_PIPELINE),
    ],
)
def test_folders_are_known_by_their_pipeline(pipeline: str, width: str | None, id: str) -> None:
    metadata = {"diffusers.pipeline": pipeline} | ({"diffusers.text_width": width} if width else {})
    assert detect(Header({}, metadata), ARCHITECTURES).found is ARCHITECTURES[id]


def test_the_wire_form_has_the_keys() -> None:
    classes, compat = wire_classes(ARCHITECTURES.values()), wire_compat_classes(ARCHITECTURES.values())
    assert classes["stable-diffusion-v1"] == {
        "id": "stable-diffusion-v1",
        "name": "Stable Diffusion v1",
        "compat_class": "stable-diffusion-v1",
        "standard_width": 512,
        "standard_height": 512,
    }
    assert compat["stable-diffusion-xl-v1"] == {
        "id": "stable-diffusion-xl-v1",
        "short_code": "SDXL",
        "loras_target_text_enc": True,
        "is_text2video": False,
        "is_image2video": False,
        "is_audio_model": False,
        "has_joint_av_latents": False,
        "resolution_precision": 16,
        "vae_family": "sdxl",
    }
    assert {each["compat_class"] for each in classes.values()} == set(compat)


def test_one_compat_class_is_one_value() -> None:
    by_id = {architecture.compat.id: architecture.compat for architecture in ARCHITECTURES.values()}
    assert all(architecture.compat == by_id[architecture.compat.id] for architecture in ARCHITECTURES.values())


def test_remaps_are_lower_case() -> None:
    assert all(key == key.lower() for key in REMAPS)


def test_checkpoints_know_what_the_engine_needs() -> None:
    for architecture in ARCHITECTURES.values():
        if architecture.makes_pictures:
            assert architecture.pipeline
            assert architecture.sigma_table().sigma_max > 0
            latent = architecture.latent
            assert latent is not None
            assert len(latent.rgb_factors) in (0, latent.channels, latent.channels // 4)
