"""Depth models: a folder as the transformers library writes them, read offline."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from swarm.base.errors import BadInput
from swarm.engine.device import Device
from swarm.engine.networks.network import Network
from swarm.jobs.job import ModelFile


class Depth:
    """Tells how near things are."""

    def __init__(self, net: Any, processor: Any, device: Device) -> None:
        self._net = net
        self._processor = processor
        self._device = device

    def __call__(self, image: Tensor) -> Tensor:
        """How near everything in an image (1, 3, H, W), 0 to 1, is, from 0 to 1: (1, 1, H, W) on the CPU."""
        pixels = (image[0, :3].permute(1, 2, 0).cpu().numpy() * 255.0).round().astype("uint8")
        seen = self._processor(images=pixels, return_tensors="pt").to(self._device.place)
        with torch.inference_mode():
            found = self._net(**seen).predicted_depth[:, None].float().cpu()
        found = interpolate(found, tuple(image.shape[-2:]), mode="bilinear")
        low, high = found.min(), found.max()
        return (found - low) / (high - low).clamp(min=1e-12)


def load(file: ModelFile, device: Device) -> Depth:
    """A folder with a depth model. Raises BadInput for any other."""
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    folder = file.path
    try:
        processor: Any = AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
        net = AutoModelForDepthEstimation.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(f"The depth model in '{folder.name}' cannot be loaded: {str(error).splitlines()[0]}") from None
    return Depth(net.to(device.place).eval(), processor, device)


DEPTH = Network(id="depth", load=load)
