"""Cutting out what stands in front: U²-Net and ISNet, as safetensors or, where onnxruntime is installed, as ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from swarm.base.errors import BadInput
from swarm.engine.device import Device
from swarm.engine.networks.detector import onnx_session
from swarm.engine.networks.network import Network
from swarm.engine.networks.u2net import U2Net, is_u2net
from swarm.engine.networks.weights import filled, read_weights
from swarm.jobs.job import ModelFile

Net: TypeAlias = Callable[[Tensor], Tensor]
U2NET_SIDE, ISNET_SIDE = 320, 1024
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_COUNTED = "num_batches_tracked"


class Cutter:
    """Tells what stands in front."""

    def __init__(self, net: Net, side: int, *, centred: bool) -> None:
        """`side`: of the square the network sees. `centred`: colours are only moved to lie around 0."""
        self._net = net
        self._side = side
        self._centred = centred

    def __call__(self, image: Tensor) -> Tensor:
        """How much of each place of an image (1, 3, H, W), 0 to 1, is in front: (1, 1, H, W), 0 to 1, on the CPU."""
        size = self._side, self._side
        small = interpolate(image[:, :3].float(), size=size, mode="bicubic", antialias=True).clamp(0, 1)
        found = self._net(self._normalised(small)).float().cpu()
        low, high = found.amin(), found.amax()
        found = (found - low) / (high - low) if high > low else found
        return interpolate(found, size=tuple(image.shape[-2:]), mode="bicubic").clamp(0, 1)

    def _normalised(self, image: Tensor) -> Tensor:
        if self._centred:
            return image - 0.5
        mean, spread = (torch.tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _SPREAD))
        return (image / image.amax().clamp(min=1e-6) - mean) / spread


def load(file: ModelFile, device: Device) -> Cutter:
    """A file of one of the two networks. Raises BadInput for any other."""
    if file.path.suffix.lower() == ".onnx":
        return _by_onnx(file)
    weights = read_weights(file)
    if not is_u2net(weights):
        raise BadInput(f"The file '{file.name}' is neither a U2-Net nor an ISNet.")
    try:
        net = U2Net({name: tuple(tensor.shape) for name, tensor in weights.items()})
    except KeyError:
        raise BadInput(f"The file '{file.name}' lacks some of its layers.") from None
    counted = {name: tensor for name, tensor in net.state_dict().items() if name.endswith(_COUNTED)}
    net = filled(net, {**counted, **weights}, file, device)
    side = ISNET_SIDE if net.halves else U2NET_SIDE

    def run(image: Tensor) -> Tensor:
        found: Tensor = net(image.to(device.place, device.compute))
        return found

    return Cutter(run, side, centred=net.halves)


def _by_onnx(file: ModelFile) -> Cutter:
    session = onnx_session(file)
    entry = session.get_inputs()[0]
    side = entry.shape[-1] if isinstance(entry.shape[-1], int) else U2NET_SIDE

    def run(image: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {entry.name: image.numpy()})[0])[:, :1]

    return Cutter(run, side, centred=side == ISNET_SIDE)


CUTTER = Network(id="cutter", load=load)
