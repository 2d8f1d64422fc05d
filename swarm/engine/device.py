"""The device the engine runs on: which, in which number formats, how much memory is left, and a clock for its work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import psutil
import torch


@dataclass(frozen=True, kw_only=True)
class Device:
    """One place to run on. `compute`: the denoiser's and text encoders' format, `decode`: the VAE's.

    Latents between steps are always float32. `store`: the format the denoiser's weights rest in between their layers'
    calls, None for the one they compute in.
    """

    place: torch.device
    name: str
    memory: int
    compute: torch.dtype
    decode: torch.dtype
    store: torch.dtype | None = None

    @property
    def is_cuda(self) -> bool:
        return self.place.type == "cuda"

    def free_memory(self) -> int:
        """Bytes that could be taken now: what the driver has, plus what torch keeps cached for reuse."""
        if not self.is_cuda:
            return int(psutil.virtual_memory().available)
        free, _total = torch.cuda.mem_get_info(self.place)
        cached = torch.cuda.memory_reserved(self.place) - torch.cuda.memory_allocated(self.place)
        return int(free + cached)

    def sent(self, tensor: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """A tensor on the device, as `dtype` if that is given; nobody waits for it to get there.

        Copies from ordinary memory wait for all that the GPU was asked before. From pinned memory they are one more
        thing that it is asked, so what is turned into another format has to be so before it is pinned.
        """
        if not self.is_cuda or not tensor.is_cpu:
            return tensor.to(self.place, dtype)
        return tensor.to(dtype=dtype).contiguous().pin_memory().to(self.place, non_blocking=True)

    def fetched(self, tensor: torch.Tensor) -> Fetched:
        """A tensor on its way to the processor; nobody waits for it to get there."""
        if not self.is_cuda:
            return Fetched(tensor=tensor, event=None)
        here = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        here.copy_(tensor, non_blocking=True)
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self.place))
        return Fetched(tensor=here, event=event)

    def give_back(self) -> None:
        """Hand cached memory back to the driver."""
        if self.is_cuda:
            torch.cuda.empty_cache()


@dataclass(frozen=True, kw_only=True, eq=False)
class Fetched:
    """`tensor`: on the processor; it holds nothing of worth before it `is_here`. `event`: None where it always was."""

    tensor: torch.Tensor
    event: torch.cuda.Event | None

    @property
    def is_here(self) -> bool:
        return self.event is None or self.event.query()


T = TypeVar("T")
_FORMATS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_STORES = {"float8": torch.float8_e4m3fn}
_RESTING = {"default": None, "fp8_e4m3fn": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}


def choose_device(gpu: int, dtype: str) -> Device:
    """The CUDA device number `gpu` if there is one, else the CPU. `dtype`: `auto` or a torch name; `float8` stores the
    denoiser's weights in half the memory of float16 and computes as `auto` does, a little less exactly.

    On CUDA `auto` is float16, with a bfloat16 VAE (several VAEs overflow in float16), or a float32 one where the device
    knows no bfloat16; on the CPU float32, always.
    """
    if torch.cuda.is_available() and gpu < torch.cuda.device_count():
        device = torch.device("cuda", gpu)
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        properties = torch.cuda.get_device_properties(device)
        compute = _FORMATS.get(dtype, torch.float16)
        decode = _for_pictures(compute)
        memory = int(properties.total_memory)
        return Device(
            place=device, name=properties.name, memory=memory, compute=compute, decode=decode, store=_STORES.get(dtype)
        )
    memory = int(psutil.virtual_memory().total)
    cpu = torch.device("cpu")
    return Device(
        place=cpu, name="CPU", memory=memory, compute=torch.float32, decode=torch.float32, store=_STORES.get(dtype)
    )


def _for_pictures(compute: torch.dtype) -> torch.dtype:
    """The VAE's format on the present CUDA device, beside a denoiser of format `compute`."""
    if compute is not torch.float16:
        return compute
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32


_NO_ROOM = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "_STATUS_ALLOC_FAILED",
    "could not create a memory",
    "could not execute a primitive",
)
"""The CPU's words, the driver's for pinned memory, those of cuBLAS and cuDNN for workspaces of their own, oneDNN's."""
_NO_ROOM_FOR_CODE = "could not create a primitive"
"""oneDNN's, as a whole; what it cannot compute at all lacks a "primitive descriptor"."""


def resting(device: Device, kind: str | None) -> Device:
    """The device as a model is loaded for whose weights rest as `kind` says: `default` (in the format they compute
    in), `fp8_e4m3fn` or `fp8_e5m2`; None as they do on it anyway. The same object where nothing changes."""
    store = device.store if kind is None else _RESTING[kind]
    return device if store == device.store else replace(device, store=store)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that an allocation failed (CUDA says it by type, the CPU only in words)."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and (said == _NO_ROOM_FOR_CODE or any(words in said for words in _NO_ROOM))


def is_poisoned(error: BaseException) -> bool:
    """Whether an error means that the CUDA context is lost: everything after it fails too, until the process ends."""
    if is_out_of_memory(error):
        return False
    return isinstance(error, torch.AcceleratorError) or (isinstance(error, RuntimeError) and "CUDA error" in str(error))


class Stopwatch(Generic[T]):
    """Times stretches of device work without waiting for the device: CUDA times are read when they have come in."""

    def __init__(self, device: Device, clock: Callable[[], float]) -> None:
        self._device = device
        self._clock = clock
        self._running: list[tuple[T, torch.cuda.Event, torch.cuda.Event]] = []
        self._done: list[tuple[T, float]] = []
        self._start: torch.cuda.Event | float = 0.0

    def start(self) -> None:
        self._start = self._mark() if self._device.is_cuda else self._clock()

    def stop(self, tag: T) -> None:
        """End the stretch; it will be reported under `tag`."""
        if isinstance(self._start, float):
            self._done.append((tag, self._clock() - self._start))
        else:
            self._running.append((tag, self._start, self._mark()))

    def finished(self) -> list[tuple[T, float]]:
        """(tag, seconds) of the stretches whose end has been reached since the last call."""
        while self._running and self._running[0][2].query():
            tag, start, end = self._running.pop(0)
            self._done.append((tag, start.elapsed_time(end) / 1000.0))
        done, self._done = self._done, []
        return done

    def _mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device.place))
        return event
