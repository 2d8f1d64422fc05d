"""Run in a process that sees torchvision and spandrel: makes tiny upscalers, and says what reading them comes to.

Takes a folder with `image.safetensors` and a depth model in `depth`; writes the upscalers there, and prints JSON.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from swarm.engine.device import choose_device
from swarm.engine.networks.depth import load as load_depth
from swarm.engine.networks.upscaler import load
from swarm.jobs.job import ModelFile


def nets() -> dict[str, Any]:
    """An upscaler of each kind, from spandrel's own classes, made brighter than their random weights are."""
    kinds: dict[str, dict[str, Any]] = {
        "SPAN": {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 16, "upscale": 2},
        "SwinIR": {
            "depths": [2, 2], "num_heads": [2, 2], "embed_dim": 12, "window_size": 8, "upscale": 2,
            "upsampler": "pixelshuffle",
        },
        "DAT": {"depth": [2], "num_heads": [2], "embed_dim": 48, "split_size": [8, 8], "upscale": 2},
    }  # fmt: skip
    made = {}
    for kind, config in kinds.items():
        torch.manual_seed(1)
        made[kind] = getattr(import_module(f"spandrel.architectures.{kind}"), kind)(**config).eval()
    return made


def file_of(path: Path) -> ModelFile:
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


@torch.inference_mode()
def main(folder: Path) -> None:
    image, device = load_file(folder / "image.safetensors")["image"], choose_device(0, "float32")
    # An upscaler that nothing knows is the first that asks for spandrel, and so for torchvision.
    save_file({"odd": torch.zeros(2)}, folder / "odd.safetensors")
    try:
        load(file_of(folder / "odd.safetensors"), device)
        odd = ""
    except Exception as error:  # noqa: BLE001 - told to the test, whatever it is
        odd = str(error)
    said: dict[str, Any] = {
        "odd": odd,
        "depth": load_depth(file_of(folder / "depth"), device)(image).flatten().tolist(),
    }
    for kind, net in nets().items():
        file = file_of(folder / f"{kind}.safetensors")
        save_file({name: tensor.clone().contiguous() for name, tensor in net.state_dict().items()}, file.path)
        upscaler, expected = load(file, device), net(image).clamp(0, 1)
        made = upscaler(image)
        said[kind] = {
            "scale": upscaler.scale,
            "shape": list(made.shape),
            "difference": float((made - expected).abs().max()),
            "spread": float(expected.std()),
        }
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
