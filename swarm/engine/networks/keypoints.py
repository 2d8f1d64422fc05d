"""Where the parts of a person are: RTMPose networks exported to ONNX, run by onnxruntime where that is installed.

They answer each axis by itself, as a row of places finer than pixels (SimCC, 2107.03332).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from swarm.base.errors import BadInput
from swarm.engine.device import Device
from swarm.engine.networks.detector import onnx_session
from swarm.engine.networks.network import Network
from swarm.jobs.job import ModelFile

_HEIGHT, _WIDTH = 384, 288
"""What networks see that leave it open."""
_AROUND = 1.25
"""How much more than a person's box they see."""
_MEAN, _SPREAD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Keypoints:
    """Finds the parts of people."""

    def __init__(self, session: Any, name: str) -> None:
        """`session`: an onnxruntime InferenceSession. `name`: of its file. Raises BadInput for another network's."""
        entry, made = session.get_inputs()[0], session.get_outputs()
        if len(entry.shape) != 4 or len(made) < 2 or any(len(each.shape) != 3 for each in made[:2]):
            raise BadInput(f"The file '{name}' is no RTMPose network.")
        self._session = session
        self._entry = entry.name
        height, width = entry.shape[-2:]
        self._height = height if isinstance(height, int) else _HEIGHT
        self._width = width if isinstance(width, int) else _WIDTH

    def __call__(self, image: Tensor, boxes: Tensor) -> Tensor:
        """The parts of each person in an image (1, 3, H, W), 0 to 1, by boxes (n, 4) left, top, right, bottom in
        pixels: (n, parts, 3), each x, y in pixels and how sure, about 0 to 1."""
        found = [self._parts(image[:, :3].float().cpu(), box) for box in boxes]
        return torch.stack(found) if found else torch.zeros(0, 0, 3)

    def _parts(self, image: Tensor, box: Tensor) -> Tensor:
        middle, size = (box[:2] + box[2:]) / 2, self._seen_size(box)
        answers = self._session.run(None, {self._entry: self._shown(image, middle, size).numpy()})
        (sure_x, x), (sure_y, y) = (torch.from_numpy(answer)[0].max(dim=-1) for answer in answers[:2])
        sure = torch.minimum(sure_x, sure_y)
        places = torch.stack([x / answers[0].shape[-1], y / answers[1].shape[-1]], dim=1)
        return torch.cat([places * size + middle - size / 2, sure[:, None]], dim=1)

    def _seen_size(self, box: Tensor) -> Tensor:
        """(width, height) of what is seen: the box and something around it, in the network's own shape."""
        width, height = ((box[2:] - box[:2]) * _AROUND).tolist()
        shape = self._width / self._height
        return torch.tensor([width, width / shape] if width > height * shape else [height * shape, height])

    def _shown(self, image: Tensor, middle: Tensor, size: Tensor) -> Tensor:
        """That part of the picture as the network sees it; beyond the picture is black."""
        sides = torch.tensor([self._width, self._height])
        down, across = torch.meshgrid(torch.arange(self._height), torch.arange(self._width), indexing="ij")
        places = torch.stack([across, down], dim=-1).float()
        own = (places - sides / 2) * (size / sides) + middle
        grid = (own * 2 + 1) / torch.tensor([image.shape[-1], image.shape[-2]]) - 1
        seen = grid_sample(image * 255.0, grid[None], mode="bilinear", padding_mode="zeros", align_corners=False)
        mean, spread = (torch.tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _SPREAD))
        return (seen.round() - mean) / spread


def load(file: ModelFile, device: Device) -> Keypoints:
    return Keypoints(onnx_session(file), file.name)


KEYPOINTS = Network(id="keypoints", load=load)
