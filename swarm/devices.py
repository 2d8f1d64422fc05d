"""Which devices this machine has and which torch, without loading torch: NVIDIA's management library is asked."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
from typing import Any

from swarm.catalog.pickles import torch_problem

logger = logging.getLogger(__name__)


def device_settings() -> list[dict[str, Any]]:
    """Backend settings, one per device, for the first start: one for the CPU when there is no GPU."""
    return [{"GPU_ID": str(index)} for index in range(max(1, _nvidia_devices()))]


def old_torch() -> str | None:
    """Why the installed torch must not read pickles, in a sentence that the log gets too; None when it may."""
    try:
        problem = torch_problem(importlib.metadata.version("torch"))
    except importlib.metadata.PackageNotFoundError:
        return None
    if problem is not None:
        logger.warning("%s", problem)
    return problem


def _nvidia_devices() -> int:
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError:
        return 0
    try:
        nvml.nvmlInit()
        try:
            return int(nvml.nvmlDeviceGetCount())
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError:
        return 0
