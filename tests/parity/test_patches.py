"""What changes a model draws the picture that it draws in ComfyUI: LoRAs, ControlNets, pictures in the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from swarm.features import ip_adapter, revision
from swarm.features.ip_adapter import STANDARD
from swarm.jobs.job import LoraUse, ModelFile
from tests.engine.conftest import SD, XL, Bench
from tests.parity.patch_files import as_png, guide, write_adapter, write_control, write_eyes, write_lora
from tests.parity.recorded import DETERMINISTIC, expected, largest_difference

pytestmark = pytest.mark.torch

SETTINGS = {"prompt": "a red fox in the snow", "negativeprompt": "blurry", "steps": 4, "cfgscale": 6.0, "seed": 7}
SETTINGS |= {"sampler": "euler", "scheduler": "normal"}
Use = tuple[str, float, float]
LORA_CASES: dict[str, tuple[str, tuple[Use, ...]]] = {
    "kohya": (SD, (("kohya", 1.0, 1.0),)),
    "another strength for the text": (SD, (("kohya", 0.6, -0.5),)),
    "original names": (SD, (("original names", -0.7, 1.0),)),
    "peft": (SD, (("peft", 0.8, 0.8),)),
    "convolutions": (SD, (("convolutions", 0.8, 1.0),)),
    "hadamard": (SD, (("hadamard", 0.8, 1.0),)),
    "kronecker": (SD, (("kronecker", 0.8, 1.0),)),
    "dora by inputs": (SD, (("dora by inputs", 0.6, 1.0),)),
    "dora by outputs": (SD, (("dora by outputs", 0.6, 1.0),)),
    "differences": (SD, (("differences", 0.7, 1.0),)),
    "glora": (SD, (("glora", 0.7, 1.0),)),
    "rotations": (SD, (("rotations", 0.7, 1.0),)),
    "butterfly": (SD, (("butterfly", 0.7, 1.0),)),
    "several": (SD, (("dora by inputs", 0.6, 1.0), ("kohya", 0.9, 0.4), ("rotations", -0.5, 1.0))),
    "two encoders": (XL, (("two encoders", 0.7, 1.3),)),
}
CONTROLS: dict[str, dict[str, Any]] = {
    "canny": {"controlnetstrength": 0.8},
    "from here to there": {"controlnetstart": 0.2, "controlnetend": 0.55, "scheduler": "karras", "steps": 8},
    "shuffled_shuffle": {"controlnetstrength": 1.2},
    "two": {"controlnettwostrength": 0.5, "controlnettwoend": 0.7},
    "xl": {"family": XL},
    "union": {"family": XL, "controlnetuniontype": "depth", "controlnetstrength": 0.7},
    "union untold": {"family": XL, "controlnetstrength": 0.7},
}
OF_CASE = {"from here to there": "canny", "two": "canny", "union untold": "union"}
"""The net of cases that are not named by it."""
IP: dict[str, Any] = {"useipadapter": STANDARD, "ipadapterweight": 0.8}
EASED, STYLED = "prompt is more important", "style transfer"
SEEN: dict[str, dict[str, Any]] = {
    "summary": {**IP, "kind": "summary"},
    "places of two": {**IP, "kind": "places", "seeds": (5, 6), "ipadapterend": 0.6},
    "eased": {**IP, "kind": "places", "ipadapterweighttype": EASED},
    "styled": {**IP, "kind": "summary", "ipadapterweighttype": STYLED},
    "reference only": {"usereferenceonly": True},
    "reference only of two xl": {"usereferenceonly": True, "seeds": (5, 6), "family": XL},
    "revision": {"family": XL, "revisionstrength": 1.5},
    "revision of two": {"family": XL, "revisionstrength": 2.0, "seeds": (5, 6), "revisionzeroprompt": True},
}


@cache
def recorded() -> Mapping[str, Any]:
    return expected("patches")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("patches")


def model_file(path: Path) -> ModelFile:
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


@pytest.mark.parametrize("case", LORA_CASES)
def test_a_lora_draws_comfyuis_picture(bench: Bench, files: Mapping[str, ModelFile], folder: Path, case: str) -> None:
    family, uses = LORA_CASES[case]
    loras = tuple(
        LoraUse(file=model_file(write_lora(folder, kind)), weight=weight, text_weight=text)
        for kind, weight, text in uses
    )
    values = dict(SETTINGS)
    seed: Any = values.pop("seed")
    found = bench.picture(files[family], seed, loras=loras, modelspecificenhancements=False, **values)
    wanted = recorded()[f"lora {case}"]
    plain = recorded()[f"plain {family}"]
    assert largest_difference(wanted, plain) > 10
    assert largest_difference(found, wanted) <= DETERMINISTIC


@pytest.mark.parametrize("case", CONTROLS)
def test_a_controlnet_draws_comfyuis_picture(
    bench: Bench, files: Mapping[str, ModelFile], folder: Path, case: str
) -> None:
    values = {**SETTINGS, "controlnetstrength": 1.0, "controlnetpreprocessor": "None", **CONTROLS[case]}
    family, seed = values.pop("family", SD), values.pop("seed")
    nets = {"controlnetmodel": model_file(write_control(folder, OF_CASE.get(case, case)))}
    values |= {"controlnetmodel": "a", "controlnetimageinput": as_png(guide())}
    if case == "two":
        nets["controlnettwomodel"] = model_file(write_control(folder, "shuffled_shuffle"))
        values |= {"controlnettwomodel": "b", "controlnettwoimageinput": as_png(guide(6))}
        values["controlnettwopreprocessor"] = "None"
    found = bench.picture(files[family], seed, files=nets, modelspecificenhancements=False, **values)
    wanted = recorded()[f"control {case}"]
    assert largest_difference(wanted, recorded()[f"plain {family}"]) > 10
    assert largest_difference(found, wanted) <= DETERMINISTIC


@pytest.mark.parametrize("case", SEEN)
def test_prompt_images_draw_comfyuis_picture(
    bench: Bench, files: Mapping[str, ModelFile], folder: Path, case: str
) -> None:
    values = {**SETTINGS, **SEEN[case]}
    family, seed, kind = values.pop("family", SD), values.pop("seed"), values.pop("kind", None)
    eyes = model_file(write_eyes(folder))
    more = {revision.ENCODER_FILE: eyes}
    if kind is not None:
        more = {ip_adapter.ENCODER_FILE: eyes, ip_adapter.ADAPTER_FILE: model_file(write_adapter(folder, kind))}
    height = 64 if "usereferenceonly" in values else 48
    values["promptimages"] = tuple(as_png(guide(each)[:height]) for each in values.pop("seeds", (5,)))
    found = bench.picture(files[family], seed, files=more, modelspecificenhancements=False, **values)
    wanted = recorded()[f"seen {case}"]
    assert largest_difference(wanted, recorded()[f"plain {family}"]) > 10
    assert largest_difference(found, wanted) <= DETERMINISTIC
