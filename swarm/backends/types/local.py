"""diffusers on this machine: one engine process for one device."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from swarm.backends.backend import BackendContext, BackendType, setting
from swarm.backends.process import EngineProcess, Patience
from swarm.base.errors import BackendError
from swarm.jobs.events import BackendEvent, LoadingModel
from swarm.jobs.job import Job, ModelFile


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """What can be chosen about a local engine."""

    gpu_id: str = setting("0", "Number of the CUDA device to use. Without CUDA the processor is used.", name="GPU_ID")
    over_queue: int = setting(15, "How many jobs may be inside besides the first; they share model calls.")
    dtype: str = setting(
        "auto",
        "Number format of the weights. Automatic is half precision on a GPU; the processor always uses float32.",
        values=("auto", "float16", "bfloat16", "float32", "float8"),
        value_names=("Automatic", "float16", "bfloat16", "float32", "float8 for the denoiser's weights"),
    )
    residency: str = setting(
        "auto",
        "How much of a model stays on the device: all of it, all but text encoders and VAE, or only the blocks that "
        "compute. Automatic takes as much as fits.",
        values=("auto", "full", "balanced", "low"),
        value_names=("Automatic", "Everything", "Denoiser only", "Block by block (slow, little memory)"),
    )
    attention: str = setting(
        "auto",
        "Which of torch's attention kernels to use. One that does not run on the device is not used; the log of the "
        "engine's start says which do.",
        values=("auto", "flash", "efficient", "cudnn", "math"),
        value_names=("Automatic", "Flash", "Memory-efficient", "cuDNN", "Plain (slow, exact)"),
    )
    deterministic: bool = setting(
        False, "Run every picture alone. Slower; pictures are then the same to the last bit, whatever else is running."
    )
    hang_seconds: int = setting(
        25,
        "How long the engine may give no sign of life before it is ended and started again. Long steps do not count.",
    )
    auto_restart: bool = setting(True, "Start the engine again when it has crashed.")


class LocalBackend:
    """An engine process as a backend."""

    def __init__(self, context: BackendContext, settings: LocalSettings) -> None:
        self._settings = settings
        self._engine: EngineProcess | None = None
        self._features: frozenset[str] = frozenset()
        self._model: str | None = None
        self.model_names: dict[str, frozenset[str]] | None = None

    @property
    def features(self) -> frozenset[str]:
        return self._features

    @property
    def max_usages(self) -> int:
        return 1 + max(0, self._settings.over_queue)

    @property
    def current_model(self) -> str | None:
        return self._model

    @property
    def blocks(self) -> tuple[int, int]:
        """How many blocks of its models are compiled, and how many are to be."""
        return (0, 0) if self._engine is None else self._engine.blocks

    async def start(self, lost: Callable[[str], None]) -> None:
        arguments = ["--gpu", str(_gpu_number(self._settings.gpu_id)), "--dtype", self._settings.dtype]
        arguments += ["--residency", self._settings.residency, "--attention", self._settings.attention]
        if self._settings.deterministic:
            arguments.append("--alone")
        hang = max(1.0, float(self._settings.hang_seconds))
        patience = Patience(ping=min(Patience.ping, hang / 4), answer=hang)
        engine = EngineProcess(arguments, lost, clock=time.monotonic, patience=patience)
        ready = await engine.start()
        self._engine, self._features, self._model = engine, frozenset(ready.features), None

    async def stop(self) -> None:
        engine, self._engine, self._model = self._engine, None, None
        if engine is not None:
            await engine.stop()

    async def generate(self, job: Job) -> AsyncGenerator[BackendEvent, None]:
        async with aclosing(self._running().generate(job)) as events:
            async for event in events:
                if job.model is not None and not isinstance(event, LoadingModel):
                    self._model = job.model.name
                yield event

    async def load(self, model: ModelFile) -> None:
        await self._running().load(model)
        self._model = model.name

    async def free(self, *, system_ram: bool) -> bool:
        freed = await self._running().free(system_ram=system_ram)
        self._model = None if freed else self._model
        return freed

    def _running(self) -> EngineProcess:
        if self._engine is None:
            raise BackendError("The engine is not running.")
        return self._engine


def _gpu_number(text: str) -> int:
    """The device number of the setting. Raises BackendError when it is none."""
    if not text.strip().isdecimal():
        raise BackendError(f"GPU_ID must be the number of one device, got '{text}'.")
    return int(text)


TYPE = BackendType(
    id="diffusers_selfstart",
    label="Diffusers (this machine)",
    description="Runs models on this machine with diffusers, in a process of its own. Add one backend per GPU.",
    settings=LocalSettings,
    make=LocalBackend,
)
