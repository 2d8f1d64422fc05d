"""What this machine has and how much of it is used: processor, memory, NVIDIA devices (swarm-core 9.3)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import psutil
import pynvml

from swarm.base.json import Json, JsonObject

CPU_SECONDS = 1.0
"""Over how long the use of the processor is measured at least."""

_log = logging.getLogger(__name__)


class Machine:
    """Reads the machine's gauges, and remembers them for a while. Blocking; safe in several threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._process = psutil.Process()
        self._reading = threading.Lock()
        self._cpu_mark = clock(), self._cpu_seconds()
        self._cpu_share = 0.0
        self._gpus: JsonObject | None = None
        self._gpus_read = -1e18
        self._has_nvml: bool | None = None

    def read(self, gpu_age: float) -> JsonObject:
        """The wire's object. `gpu_age`: how many seconds old what the devices said may be. No `gpus` without NVML."""
        with self._reading:
            memory = psutil.virtual_memory()
            gpus = self._devices(gpu_age)
            return {
                "cpu": {"usage": self._cpu(), "cores": psutil.cpu_count() or 1},
                "system_ram": {
                    "total": memory.total,
                    "used": memory.total - memory.available,
                    "free": memory.available,
                },
                **({} if gpus is None else {"gpus": gpus}),
            }

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def _cpu(self) -> float:
        """How much of one core this process uses; 0 until there is something to measure over."""
        then, spent = self._cpu_mark
        now = self._clock()
        if now < then:  # the clock was set back
            self._cpu_mark = now, self._cpu_seconds()
        elif now - then >= CPU_SECONDS:
            spent_now = self._cpu_seconds()
            self._cpu_share = max(0.0, (spent_now - spent) / (now - then))
            self._cpu_mark = now, spent_now
        return self._cpu_share

    def _devices(self, age: float) -> JsonObject | None:
        now = self._clock()
        if self._has_nvml is not False and not 0 <= now - self._gpus_read < age:
            self._gpus_read = now
            self._gpus = self._ask_devices()
        return self._gpus

    def _ask_devices(self) -> JsonObject | None:
        """None when NVML does not answer; it is not asked again then."""
        try:
            if self._has_nvml is None:
                pynvml.nvmlInit()
                self._has_nvml = True
            return {str(index): _device(index) for index in range(pynvml.nvmlDeviceGetCount())} or None
        except pynvml.NVMLError as error:
            self._has_nvml = False
            _log.debug("NVIDIA devices cannot be asked: %s", error)
            return None


def _device(index: int) -> Json:
    """One device. Raises NVMLError."""
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    use = pynvml.nvmlDeviceGetUtilizationRates(handle)
    name = pynvml.nvmlDeviceGetName(handle)
    return {
        "id": index,
        "name": name.decode() if isinstance(name, bytes) else str(name),
        "temperature": float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
        "utilization_gpu": float(use.gpu),
        "utilization_memory": float(use.memory),
        "total_memory": int(memory.total),
        "free_memory": int(memory.free),
        "used_memory": int(memory.used),
    }
