"""Where faces are, and whose they are: SCRFD and ArcFace networks as ONNX files, run by onnxruntime where that is
installed (2105.04714, 1801.07698)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate, normalize

from swarm.base.errors import BadInput
from swarm.engine.device import Device
from swarm.engine.networks.detector import onnx_session
from swarm.engine.networks.network import Network
from swarm.jobs.job import ModelFile

_SIDES = range(640, 256, -64)
"""Squares in which faces are looked for, one after the other: in smaller ones, larger faces are found."""
_STRIDES = 8, 16, 32
_AT_ONCE = 2
"""Answers for each place."""
_SURE = 0.5
_POINTS = 5
TEMPLATE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
"""Where eyes, nose and corners of the mouth lie in a face of 112 by 112 pixels as ArcFace has learned them."""
_TEMPLATE_SIDE, _WIDER_SIDE, _WIDER_LEFT = 112, 128, 8


class Faces:
    """Finds the surest face."""

    def __init__(self, session: Any, name: str) -> None:
        """`session`: an onnxruntime InferenceSession. `name`: of its file. Raises BadInput for another network's."""
        entry = session.get_inputs()[0]
        if len(entry.shape) != 4 or len(session.get_outputs()) != 3 * len(_STRIDES):
            raise BadInput(f"The file '{name}' is no SCRFD network that finds five points of each face.")
        self._session = session
        self._entry, side = entry.name, entry.shape[-1]
        self._sides = (side,) if isinstance(side, int) else tuple(_SIDES)

    def __call__(self, image: Tensor) -> Tensor | None:
        """The points (5, 2) of the surest face in an image (1, 3, H, W), 0 to 1, in pixels: eyes, nose, corners of the
        mouth. None where there is none."""
        levels = image[:, :3].float().cpu() * 255.0
        return next((found for side in self._sides if (found := self._found(levels, side)) is not None), None)

    def _found(self, levels: Tensor, side: int) -> Tensor | None:
        height, width = levels.shape[-2:]
        wide, high = (int(side * width / height), side) if height > width else (side, int(side * height / width))
        square = torch.zeros(1, 3, side, side)
        square[..., :high, :wide] = interpolate(levels, size=(max(1, high), max(1, wide)), mode="bilinear").round()
        answers = self._session.run(None, {self._entry: ((square - 127.5) / 128.0).numpy()})
        best, points = 0.0, None
        for sure, found in _found_points(answers, side):
            if float(sure.max()) > best:
                best, points = float(sure.max()), found[int(sure.argmax())]
        return None if points is None or best < _SURE else points / (high / height)


def _found_points(answers: list[Any], side: int) -> Iterator[tuple[Tensor, Tensor]]:
    """For each step: how sure (n,), and the points (n, 5, 2) in the square."""
    for number, stride in enumerate(_STRIDES):
        sure, moved = answers[number], answers[number + 2 * len(_STRIDES)]
        down, across = torch.meshgrid(torch.arange(side // stride), torch.arange(side // stride), indexing="ij")
        places = torch.stack([across, down], dim=-1).reshape(-1, 1, 2).repeat_interleave(_AT_ONCE, dim=0)
        points = (torch.from_numpy(moved).reshape(-1, _POINTS, 2) + places) * stride
        yield torch.from_numpy(sure).reshape(-1), points


def cut_out(image: Tensor, points: Tensor, side: int) -> Tensor:
    """A face turned, scaled and moved so that its points (5, 2) lie as near as may be to the template's: of an image
    (1, 3, H, W), 0 to 1, (1, 3, side, side) in whole levels; beyond the image is black."""
    template = torch.tensor(TEMPLATE)
    if side % _TEMPLATE_SIDE:
        template = template + torch.tensor([float(_WIDER_LEFT), 0.0])
    template = template * (side / (_WIDER_SIDE if side % _TEMPLATE_SIDE else _TEMPLATE_SIDE))
    # Places as complex numbers: a similarity is one product and one sum.
    here, there = (torch.complex(each[:, 0].double(), each[:, 1].double()) for each in (points, template))
    away, wanted = here - here.mean(), there - there.mean()
    turn = (wanted * away.conj()).sum() / away.abs().square().sum().clamp(min=1e-12)
    shift = there.mean() - turn * here.mean()
    down, across = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    own = (torch.complex(across.double(), down.double()) - shift) / turn
    height, width = image.shape[-2:]
    grid = torch.stack([(own.real * 2 + 1) / width - 1, (own.imag * 2 + 1) / height - 1], dim=-1).float()
    seen = grid_sample(image[:, :3].float().cpu() * 255.0, grid[None], mode="bilinear", align_corners=False)
    return seen.round() / 255.0


class Identity:
    """Says whose face it is."""

    def __init__(self, session: Any, name: str) -> None:
        """`session`: an onnxruntime InferenceSession. `name`: of its file. Raises BadInput for another network's."""
        entry, made = session.get_inputs()[0], session.get_outputs()
        if list(entry.shape[-2:]) != [_TEMPLATE_SIDE] * 2 or len(made) != 1:
            raise BadInput(f"The file '{name}' is no ArcFace network.")
        self._session = session
        self._entry = entry.name

    def __call__(self, image: Tensor, points: Tensor) -> Tensor:
        """A face of an image (1, 3, H, W), 0 to 1, by its points: (1, width), of length 1."""
        face = cut_out(image, points, _TEMPLATE_SIDE) * 255.0
        made = self._session.run(None, {self._entry: ((face - 127.5) / 127.5).numpy()})[0]
        return normalize(torch.from_numpy(made).reshape(1, -1).float())


def load_faces(file: ModelFile, device: Device) -> Faces:
    return Faces(onnx_session(file), file.name)


def load_identity(file: ModelFile, device: Device) -> Identity:
    return Identity(onnx_session(file), file.name)


FACES = Network(id="faces", load=load_faces)
IDENTITY = Network(id="identity", load=load_identity)
