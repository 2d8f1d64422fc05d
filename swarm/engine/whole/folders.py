"""A diffusers folder as a pipeline on the device, or a sentence why not. Nothing of the folder is run as a program."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import diffusers
import psutil
import torch
from diffusers import DiffusionPipeline

from swarm.base.errors import BadInput, Refused
from swarm.engine.device import Device
from swarm.engine.loader import read_json, unloadable
from swarm.engine.whole.arguments import makes_clips

LOAD_ERRORS = (OSError, ValueError, RuntimeError, AttributeError, TypeError, ImportError, KeyError, IndexError)
_LIBRARIES = ("diffusers", "transformers")
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2}
_FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
ROOM_TO_WORK = 1.1
"""Weights and what reading them takes, as a multiple of the weights."""
_GIGABYTE = 1024**3
_FRAME_BYTES = 48
"""Per pixel of a finished clip: three channels, a few copies, mostly as floats."""

_WIDE_VAES = ("AutoencoderKLWan",)
"""VAEs whose pictures suffer in half precision."""
_LONGEST_HEADER = 100 * 1024 * 1024


def refuse_programs(folder: Path) -> None:
    """Raises BadInput for a folder whose parts are not all of the known libraries: it would bring its own program."""
    index = read_json(folder / "model_index.json")
    kind = index.get("_class_name")
    if not isinstance(kind, str) or not hasattr(diffusers, kind):
        raise BadInput(
            f"The model folder '{folder.name}' is for the pipeline '{kind}', which this version of diffusers "
            "does not have."
        )
    for name, entry in index.items():
        if name.startswith("_") or not isinstance(entry, list) or len(entry) != 2:
            continue
        library = entry[0]
        if library is not None and library not in _LIBRARIES and not hasattr(diffusers.pipelines, str(library)):
            raise BadInput(f"The model folder '{folder.name}' brings its own program for '{name}', which is not run.")


def weight_bytes(path: Path, dtype: torch.dtype) -> dict[str, int]:
    """What each part of a folder (or a single file, named "") takes in memory in this number format."""
    found: dict[str, int] = {}
    files = path.glob("*/*.safetensors") if path.is_dir() else [path]
    for file in files:
        part = file.parent.name if path.is_dir() else ""
        found[part] = found.get(part, 0) + _bytes_of(file, dtype)
    return found


def _bytes_of(file: Path, dtype: torch.dtype) -> int:
    """By the header; by the file's size where that is not to be read."""
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(min(length, _LONGEST_HEADER)))
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        sizes = (
            prod(entry["shape"]) * (dtype.itemsize if entry["dtype"] in _FLOATS else _BYTES.get(entry["dtype"], 1))
            for entry in tensors
        )
        return sum(sizes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        return file.stat().st_size


def refuse_too_big(name: str, parts: dict[str, int], device: Device) -> bool:
    """Whether the parts must take turns on the device. Raises Refused when there is not even room for that."""
    total, largest = sum(parts.values()), max(parts.values(), default=0)
    if not device.is_cuda:
        _refuse_above(name, total, device.free_memory(), "of main memory")
        return False
    if total * ROOM_TO_WORK <= device.free_memory():
        return False
    _refuse_above(name, largest, device.free_memory(), "of the graphics card's memory")
    _refuse_above(name, total, int(psutil.virtual_memory().available), "of main memory")
    return True


def _refuse_above(name: str, need: int, free: int, where: str) -> None:
    if need * ROOM_TO_WORK > free:
        raise Refused(
            f"The model '{name}' needs about {need * ROOM_TO_WORK / _GIGABYTE:.1f} GB {where}, and "
            f"{free / _GIGABYTE:.1f} GB are free."
        )


def refuse_too_long(given: Mapping[str, Any], device: Device) -> None:
    """Raises Refused when a clip's frames alone do not fit in main memory; a GPU says so itself without harm."""
    frames, width, height = (given.get(name) or 0 for name in ("num_frames", "width", "height"))
    need, free = frames * width * height * _FRAME_BYTES, device.free_memory()
    if not device.is_cuda and need > free:
        raise Refused(
            f"A video of {frames} frames of {width}x{height} needs about {need / _GIGABYTE:.1f} GB of memory, and "
            f"{free / _GIGABYTE:.1f} GB are free. Choose fewer frames or a smaller size."
        )


def load_folder(folder: Path, dtype: torch.dtype) -> Any:
    """The pipeline of a folder, in main memory. Raises BadInput when diffusers cannot load it from what is there."""
    refuse_programs(folder)
    try:
        return DiffusionPipeline.from_pretrained(
            str(folder), local_files_only=True, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    except LOAD_ERRORS as error:
        raise BadInput(unloadable(folder, error)) from None


def settle_pipeline(pipe: Any, device: Device, *, takes_turns: bool) -> None:
    """Onto the device: all of it, or each part while it works. Raises BadInput when weights were in no file."""
    pipe.set_progress_bar_config(disable=True)
    for name, part in pipe.components.items():
        if isinstance(part, torch.nn.Module):
            part.eval().requires_grad_(False)
            if any(weight.is_meta for weight in part.parameters()):
                raise BadInput(f"The model is incomplete: weights of its '{name}' are in no file.")
    vae: Any = getattr(pipe, "vae", None)
    if device.is_cuda and type(vae).__name__ in _WIDE_VAES:
        vae.to(torch.float32)
    if device.is_cuda and makes_clips(pipe) and hasattr(vae, "enable_tiling"):
        vae.enable_tiling()  # a clip decoded in one piece takes more than the model
    if takes_turns:
        pipe.enable_model_cpu_offload(device=device.place)
    else:
        pipe.to(device.place)
