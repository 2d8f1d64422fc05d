"""Detectors: YOLOv8 networks exported to ONNX, run by onnxruntime where that is installed."""

from __future__ import annotations

import ast
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from swarm.base.errors import BadInput
from swarm.engine.device import Device
from swarm.engine.networks.extras import wanted
from swarm.engine.networks.network import Network
from swarm.engine.networks.yolo import Finding, Fitted, findings
from swarm.jobs.job import ModelFile

_SIDE = 640
"""The side of the square for networks that leave it open."""


class Detector:
    """Finds things in pictures."""

    def __init__(self, session: Any) -> None:
        """`session`: an onnxruntime InferenceSession, or what looks like one."""
        self._session = session
        entry = session.get_inputs()[0]
        self._entry, side = entry.name, entry.shape[-1]
        self._side = side if isinstance(side, int) else _SIDE
        self._names = _names(session.get_modelmeta().custom_metadata_map.get("names", "{}"))

    def __call__(self, image: Tensor, confidence: float) -> list[Finding]:
        """What is in an image (1, 3, H, W), 0 to 1, at least so surely; the surest first."""
        fitted = Fitted(side=self._side, width=image.shape[-1], height=image.shape[-2])
        made = self._session.run(None, {self._entry: fitted.shown(image[:, :3].float()).numpy()})
        found = torch.from_numpy(made[0])[0]
        shapes = torch.from_numpy(made[1])[0] if len(made) > 1 else None
        return findings(found, shapes, fitted, confidence, self._names)


def _names(text: str) -> dict[int, str]:
    """The classes' names as the export writes them, `{0: 'face', …}`; none when that cannot be read."""
    try:
        read = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    return {int(kind): str(name) for kind, name in read.items()} if isinstance(read, dict) else {}


def onnx_session(file: ModelFile) -> Any:
    """A session for an ONNX file, on the CPU. Raises BadInput when it cannot be had."""
    try:
        runtime = import_module("onnxruntime")
    except (ImportError, RuntimeError):
        raise BadInput(f"The file '{file.name}' is an ONNX model. These need {wanted('detectors')}") from None
    try:
        return runtime.InferenceSession(str(file.path), providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the runtime's own errors share no base class
        raise BadInput(f"The file '{file.name}' cannot be read as an ONNX model: {error}") from None


def load(file: ModelFile, device: Device) -> Detector:
    return Detector(onnx_session(file))


DETECTOR = Network(id="detector", load=load)
