"""Two operators of torchvision, declared where the package's compiled part cannot be loaded.

The package index's torchvision is compiled for CUDA. Beside a torch for the CPU (or for ROCm) that part does not load,
and `import torchvision` fails as a whole, because it says how two operators behave that nobody has declared. With it
fails whoever imports it: transformers, so every pipeline of diffusers, and spandrel. None of them uses these operators.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch

_OPERATORS = "nms", "qnms"
_TAKES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@cache
def declare_missing_operators() -> torch.library.Library | None:
    """To be called before anything imports torchvision. What is declared lasts as long as what is returned, which is
    kept; None where torchvision is not there or needs no help."""
    found = find_spec("torchvision")
    if found is None or found.origin is None or _loads(Path(found.origin).parent):
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}{_TAKES}")
    return library


def _loads(folder: Path) -> bool:
    """Whether the compiled part fits this torch; then it declares everything itself."""
    for file in folder.glob("_C.*"):
        try:
            torch.ops.load_library(file)
        except OSError:
            continue
        return True
    return False
