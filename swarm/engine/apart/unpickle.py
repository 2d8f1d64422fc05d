"""python -m swarm.engine.apart.unpickle: the tensors of a pickled checkpoint, written as safetensors. A confined child.

Reads only plain tensors and containers (`weights_only`), from a file that is open already, into one that is too. What
it has to say goes to standard output; the exit code is 0 when the whole file was written.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import struct
import sys
from collections.abc import Mapping
from pickle import UnpicklingError
from typing import Any, BinaryIO

import torch

from swarm.engine.apart.confine import confine

_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_WRAPPERS = ("state_dict", "module", "model", "params_ema", "params", "ema")
_SPARE = 8 * 1024**3
_ALIGN = 8


def main() -> int:
    given = _arguments()
    size = os.fstat(given.source).st_size
    _rehearse()
    confine(memory=4 * size + _SPARE, file_size=2 * size + 1024**2, seconds=1800)
    with os.fdopen(given.source, "rb") as source, os.fdopen(given.target, "wb") as target:
        try:
            loaded = torch.load(source, map_location="cpu", weights_only=True)
            tensors = tensors_of(loaded)
            if not tensors:
                raise ValueError("there are no tensors in it")
            write(tensors, target, half=given.half)
        except (UnpicklingError, ValueError, TypeError, KeyError, EOFError, RuntimeError, MemoryError) as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            sys.stdout.write(reason[0][:300])
            return 1
    return 0


def _rehearse() -> None:
    """Have everything imported that reading and writing needs: once confined, this process opens no files."""
    for is_zip in (True, False):
        held = io.BytesIO()
        torch.save({"x": torch.ones(1, dtype=torch.bfloat16)}, held, _use_new_zipfile_serialization=is_zip)
        held.seek(0)
        loaded = torch.load(held, map_location="cpu", weights_only=True)
        loaded["x"].half().view(torch.uint8).numpy().tobytes()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m swarm.engine.apart.unpickle", description=__doc__)
    parser.add_argument("source", type=int, help="number of the open file to read")
    parser.add_argument("target", type=int, help="number of the open file to write")
    parser.add_argument("--half", action="store_true", help="write 32 and 64 bit numbers with 16 bits")
    return parser.parse_args()


def tensors_of(loaded: Any) -> dict[str, torch.Tensor]:
    """The tensors of what a checkpoint usually holds, by name. Raises ValueError."""
    if not isinstance(loaded, Mapping):
        raise ValueError("it is no collection of tensors")
    for wrapper in _WRAPPERS:
        inner = loaded.get(wrapper)
        if isinstance(inner, Mapping) and any(isinstance(each, torch.Tensor) for each in inner.values()):
            return tensors_of(inner)
    words = loaded.get("string_to_param")  # a textual inversion
    if isinstance(words, Mapping) and len(words) == 1:
        return {"emb_params": next(iter(words.values())).detach()}
    found = {str(name): each.detach() for name, each in loaded.items() if isinstance(each, torch.Tensor)}
    return found or _of_parts(loaded)


def _of_parts(loaded: Mapping[Any, Any]) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint in parts (an IP-Adapter's `image_proj` and `ip_adapter`), by names with the part's
    before them."""
    return {
        f"{part}.{name}": each.detach()
        for part, tensors in loaded.items()
        if isinstance(tensors, Mapping)
        for name, each in tensors.items()
        if isinstance(each, torch.Tensor)
    }


def write(tensors: Mapping[str, torch.Tensor], target: BinaryIO, *, half: bool) -> None:
    """Write the safetensors format, one tensor after the other. Raises ValueError for types that it does not have."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place, kinds = 0, {}
    for name, tensor in tensors.items():
        kind = torch.float16 if half and tensor.dtype in (torch.float32, torch.float64) else tensor.dtype
        if kind not in _TYPES:
            raise ValueError(f"the numbers of '{name[:80]}' are of a kind that safetensors files do not have")
        kinds[name] = kind
        length = tensor.numel() * torch.empty((), dtype=kind).element_size()
        offsets = [place, place + length]
        header[name] = {"dtype": _TYPES[kind], "shape": list(tensor.shape), "data_offsets": offsets}
        place += length
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGN)
    target.write(struct.pack("<Q", len(text)) + text)
    for name, tensor in tensors.items():
        plain = tensor.to(kinds[name]).contiguous().flatten()
        target.write(plain.view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    target.flush()
    os.fsync(target.fileno())


if __name__ == "__main__":
    sys.exit(main())
