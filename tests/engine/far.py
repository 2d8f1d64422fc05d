"""Models on a device that is not there: what the engine takes for CUDA, while nothing here has a GPU.

The device is torch's `meta`: it holds no numbers, but tells shapes and formats, refuses to work on tensors of another
device as a GPU does, and cannot give a number back; what is sent to it is watched (waits.py). So whatever passes here
would not wait for a GPU in a step either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from swarm.engine.attending.joint_attention import denoiser_for
from swarm.engine.components import Components, Denoiser, Row, TextOptions
from swarm.engine.device import Device
from swarm.engine.errands import Errands
from swarm.engine.loader import Families
from swarm.engine.loras.branches import Branches
from swarm.engine.runner import Methods, Model, Sampling
from swarm.engine.start import families
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Conditioning, Pass
from swarm.params.input import GenerationInput
from tests.engine.waits import Waits

ELSEWHERE = torch.device("meta")
SIDE = 128
PLAIN = {"prompt": "a (red:1.2) fox", "negativeprompt": "a blue one", "steps": 2, "cfgscale": 5.0}
READ_BACK = ("chroma", "qwen-image", "z-image", "flux-2", "auraflow", "pixart", "sana")
"""Adapters whose language models ask once for each prompt whether its mask hides anything."""
KNOWN = ("tensor: transformer_qwenimage.py",)
"""The library sends Qwen-Image-Edit-Plus 2511 at each step which tokens are a reference's."""


class FarDevice(Device):
    """What the engine takes for a CUDA device."""

    @property
    def is_cuda(self) -> bool:
        return True

    def free_memory(self) -> int:
        return self.memory

    def sent(self, tensor: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """From pinned memory, of which this device has none: what is there is all that differs."""
        if not tensor.is_cpu:
            return super().sent(tensor, dtype)
        return torch.empty(tensor.shape, dtype=dtype or tensor.dtype, device=self.place)

    def give_back(self) -> None:
        return


FAR = FarDevice(place=ELSEWHERE, name="far", memory=2**36, compute=torch.float16, decode=torch.bfloat16)
NEAR = Device(
    place=torch.device("cpu"), name="near", memory=2**36, compute=torch.float16, decode=torch.bfloat16
)  # fmt: skip


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
        return value.to(ELSEWHERE)
    return tuple(_far(one) for one in value) if isinstance(value, tuple) else value


@torch.inference_mode()
def far(
    file: ModelFile,
    parts: Mapping[str, ModelFile] | None = None,
    *,
    device: Device = FAR,
    from_: Families | None = None,
) -> Model:
    """A model loaded onto the device. Encoders that read back stay at home; what they say comes from the device."""
    from_, parts = from_ or families(), parts or {}
    adapter = from_.adapter_of(file)
    assert adapter is not None
    if adapter.id in READ_BACK:
        components = from_.load(file, replace(NEAR, store=device.store), parts)
        components.denoiser.to(ELSEWHERE)
        components.vae.module.to(ELSEWHERE)
        components = replace(components, text=Told(components))
    else:
        components = from_.load(file, device, parts)
    denoiser = denoiser_for(components, device)
    colours: Any = None
    return Model(
        components=components,
        denoiser=denoiser,
        branches=Branches(components),
        colours=colours,
        device=device,
        errands=Errands(device),
    )


class Halving:
    """A denoiser without a network, for what goes on around one: of whatever it is asked, half."""

    def __init__(self, own: Denoiser) -> None:
        self.size_numbers, self.together = own.size_numbers, own.together

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        return torch.cat([row.x for row in rows]) * 0.5


def pass_of(file: ModelFile, **values: Any) -> Pass:
    """The walk of a request. `files`, `loras`, `confined`, `parts`, `latent`, `variation_seed` …: the Pass's own."""
    own = {name: values.pop(name) for name in tuple(values) if name in Pass.__dataclass_fields__}
    asked = GenerationInput({**PLAIN, "width": SIDE, "height": SIDE, **values})
    return Pass(**{"input": asked, "model": file, "seed": 3, **own})


@torch.inference_mode()
def walk(found: Model, known: Methods, of: Pass) -> torch.Tensor:
    """Where a walk ends; every answer on the way is on the device and in float32, and after its first step nothing on
    the way has a GPU waited for, but for prompts that have not been heard before."""
    walked, is_first = Sampling(found, known, of), True
    while walked.question is not None:
        heard = found.components.text.calls
        with Waits() as waits:
            _step(found, walked)
        waited = [each for each in waits.found if not each.startswith(KNOWN)]
        assert is_first or found.components.text.calls > heard or not waited, waited
        is_first = False
    latent = walked.latent
    assert latent is not None
    assert (latent.device, latent.dtype) == (ELSEWHERE, torch.float32)
    return latent


def _step(found: Model, walked: Sampling) -> None:
    rows = walked.rows()
    outputs: list[torch.Tensor] = [row.x for row in rows]
    for members in found.denoiser.together(rows):
        answers = found.answers([rows[member] for member in members])
        assert (answers.device, answers.dtype) == (ELSEWHERE, torch.float32)
        for member, answer in zip(members, torch.split(answers, 1), strict=True):
            outputs[member] = answer
    walked.answer(torch.cat(outputs) if outputs else None)
