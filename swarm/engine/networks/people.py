"""Where people stand: YOLOX networks exported to ONNX, run by onnxruntime where that is installed (2107.08430)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from swarm.base.errors import BadInput
from swarm.engine.device import Device
from swarm.engine.networks.detector import onnx_session
from swarm.engine.networks.network import Network
from swarm.jobs.job import ModelFile

_SIDE = 640
"""The side of the square for networks that leave it open."""
_STRIDES = 8, 16, 32
_GRAY = 114.0
_SURE = 0.3
_MOST = 100
"""People that are looked at, however many there are."""
OVERLAP = 0.45
"""Of two boxes that share more of their area than this, the surer one stays."""


class People:
    """Finds people, the first of the kinds the network knows."""

    def __init__(self, session: Any, name: str) -> None:
        """`session`: an onnxruntime InferenceSession. `name`: of its file. Raises BadInput for another network's."""
        self._session = session
        self._name = name
        entry = session.get_inputs()[0]
        sides = [side if isinstance(side, int) else _SIDE for side in entry.shape[-2:]]
        if len(entry.shape) != 4 or sides[0] != sides[1]:
            raise self._refused()
        self._entry, self._side = entry.name, sides[0]

    def __call__(self, image: Tensor) -> Tensor:
        """Boxes of people in an image (1, 3, H, W), 0 to 1: (n, 4) left, top, right, bottom in pixels, the surest
        first."""
        scale = min(self._side / image.shape[-2], self._side / image.shape[-1])
        found = torch.from_numpy(self._session.run(None, {self._entry: self._shown(image, scale).numpy()})[0])
        places = _places(self._side)
        if found.ndim != 3 or found.shape[1] != len(places) or found.shape[2] < 6:
            raise self._refused()
        boxes, sure = _boxes(found[0], places)
        chosen = (sure > _SURE).nonzero()[:, 0]
        chosen = chosen[sure[chosen].argsort(descending=True)][: _MOST * 8]
        return apart(boxes[chosen] / scale)[:_MOST]

    def _refused(self) -> BadInput:
        return BadInput(f"The file '{self._name}' is no YOLOX network.")

    def _shown(self, image: Tensor, scale: float) -> Tensor:
        """The picture in the upper left corner of a gray square, in levels from 0 to 255."""
        high, wide = (max(1, int(side * scale)) for side in image.shape[-2:])
        small = interpolate(image[:, :3].float().cpu() * 255.0, size=(high, wide), mode="bilinear")
        square = torch.full((1, 3, self._side, self._side), _GRAY)
        square[..., :high, :wide] = small.round()
        return square


def _places(side: int) -> Tensor:
    """Where in a grid each of the network's answers stands, and the grid's step: (n, 3)."""
    grids = []
    for stride in _STRIDES:
        down, across = torch.meshgrid(torch.arange(side // stride), torch.arange(side // stride), indexing="ij")
        grids.append(torch.stack([across, down, torch.full_like(across, stride)], dim=-1).reshape(-1, 3))
    return torch.cat(grids).float()


def _boxes(found: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Answers (n, 5 + kinds) as boxes (n, 4) in the square, and how surely each is a person."""
    step = places[:, 2:]
    middle, half = (found[:, :2] + places[:, :2]) * step, found[:, 2:4].exp() * step / 2
    return torch.cat([middle - half, middle + half], dim=1), found[:, 4] * found[:, 5]


def apart(boxes: Tensor) -> Tensor:
    """Boxes, the surest first, without those that a surer one covers; a box holds the pixels of its edges."""
    kept: list[int] = []
    areas = (boxes[:, 2:] - boxes[:, :2] + 1).prod(dim=1)
    for place in range(len(boxes)):
        low, high = torch.maximum(boxes[place, :2], boxes[kept, :2]), torch.minimum(boxes[place, 2:], boxes[kept, 2:])
        shared = (high - low + 1).clamp(min=0).prod(dim=1)
        if not (shared > OVERLAP * (areas[place] + areas[kept] - shared)).any():
            kept.append(place)
    return boxes[kept]


def load(file: ModelFile, device: Device) -> People:
    return People(onnx_session(file), file.name)


PEOPLE = Network(id="people", load=load)
