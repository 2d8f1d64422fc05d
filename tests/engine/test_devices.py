"""Everything a walk touches is on the model's device and in its number format, for every family.

Nothing here has a GPU, so the device is torch's `meta`: it holds no numbers, but tells shapes and formats, and refuses
to work on tensors of another device as a GPU does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from swarm.engine.branches import Branches
from swarm.engine.components import Components, TextOptions
from swarm.engine.decode import decode, encode
from swarm.engine.device import Device
from swarm.engine.runner import Methods, Model, Sampling
from swarm.engine.start import families, methods
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Conditioning, Pass
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, XL
from tests.engine.flow_oracle import model

pytestmark = pytest.mark.torch
ELSEWHERE = torch.device("meta")
SIDE = 128
KINDS = (
    "stable_diffusion_2", "sdxl_refiner", "inpainting", "flux", "chroma", "stable_diffusion_3", "qwen_image", "z_image",
    "flux_2", "auraflow",
)  # fmt: skip
"""Not Lumina 2, whose transformer reads the lengths of its prompts back from the device, which here holds none."""
PLAIN = {"prompt": "a (red:1.2) fox", "negativeprompt": "a blue one", "steps": 2, "cfgscale": 5.0}


class FarDevice(Device):
    """What the engine takes for a CUDA device."""

    @property
    def is_cuda(self) -> bool:
        return True

    def free_memory(self) -> int:
        return self.memory

    def give_back(self) -> None:
        return


FAR = FarDevice(place=ELSEWHERE, name="far", memory=2**36, compute=torch.float16, decode=torch.bfloat16)
NEAR = Device(place=torch.device("cpu"), name="near", memory=2**36, compute=torch.float32, decode=torch.bfloat16)


class Told:
    """A text encoder's answers, as they come from encoders on the device."""

    def __init__(self, components: Components) -> None:
        self._text = components.text
        self.state, self.calls, self.awake = self._text.state, 0, self._text.awake

    def encode(self, text: str, options: TextOptions) -> Conditioning:
        told = self._text.encode(text, options)
        extra = {name: _far(value) for name, value in told.extra.items()}
        return replace(told, tokens=_far(told.tokens), pooled=_far(told.pooled), extra=extra)


def _far(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(ELSEWHERE, torch.float16 if value.is_floating_point() else value.dtype)
    return tuple(_far(one) for one in value) if isinstance(value, tuple) else value


def far(file: ModelFile, parts: Mapping[str, ModelFile]) -> Model:
    """A loaded model whose denoiser and VAE have been taken to the device; its encoders answer from there."""
    found = families().load(file, NEAR, parts)
    own: Any = found.denoiser.dtype
    # Families that say their own number format keep it.
    found.denoiser.to(ELSEWHERE, FAR.compute if found.adapter.id == "unet" else own)
    found.vae.module.to(ELSEWHERE)
    components = replace(found, text=Told(found))
    denoiser = found.adapter.denoiser(components, FAR)
    colours: Any = None
    return Model(components=components, denoiser=denoiser, branches=Branches(components), colours=colours, device=FAR)


def walk(model: Model, known: Methods, file: ModelFile) -> torch.Tensor:
    values = {**PLAIN, "width": SIDE, "height": SIDE}
    walked = Sampling(model, known, Pass(input=GenerationInput(values), model=file, seed=3), 0)
    while walked.question is not None:
        rows = walked.rows()
        outputs: list[torch.Tensor] = [row.x for row in rows]
        for members in model.denoiser.together(rows):
            answers = model.answers([rows[member] for member in members])
            assert (answers.device, answers.dtype) == (ELSEWHERE, torch.float32)
            for member, answer in zip(members, torch.split(answers, 1), strict=True):
                outputs[member] = answer
        walked.answer(torch.cat(outputs))
    assert walked.latent is not None
    return walked.latent


def every_family() -> Iterator[Any]:
    for kind in KINDS:
        for family in import_module(f"tests.support.tiny.{kind}").FAMILIES:
            yield pytest.param(family, id=f"{kind}-{family.id}".replace("/", "-"))


@pytest.fixture(scope="module")
def known() -> Methods:
    return methods()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("far")


def check(file: ModelFile, known: Methods) -> None:
    found = far(file, {})
    latent = walk(found, known, file)
    image = decode(found.components, FAR, [latent])
    assert (image.device, tuple(image.shape)) == (ELSEWHERE, (1, 3, SIDE, SIDE))
    again = encode(found.components, FAR, torch.rand(1, 3, SIDE, SIDE))
    assert (again.device, again.dtype, again.shape) == (ELSEWHERE, torch.float32, latent.shape)


@pytest.mark.parametrize("name", [SD, XL])
def test_the_first_families(files: Mapping[str, ModelFile], known: Methods, name: str) -> None:
    check(files[name], known)


@pytest.mark.parametrize("family", list(every_family()))
def test_a_family(family: Any, folder: Path, known: Methods) -> None:
    check(model(family, family.make(folder, layout="single")), known)
