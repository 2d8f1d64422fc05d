"""Which devices this machine has, asked without torch: NVIDIA's management library if its Python module is there."""

from __future__ import annotations

import importlib
from typing import Any


def device_settings() -> list[dict[str, Any]]:
    """Backend settings, one per device, for the first start: one for the CPU when there is no GPU."""
    return [{"GPU_ID": str(index)} for index in range(max(1, _nvidia_devices()))]


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
