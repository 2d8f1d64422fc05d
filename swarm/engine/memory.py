"""Which models are ready on the device: loaded when needed, kept while there is room, least recently used dropped."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from swarm.architectures.architecture import Architecture
from swarm.base.errors import BadInput
from swarm.engine.adapters.unet import UnetDenoiser
from swarm.engine.device import Device
from swarm.engine.loader import Components, batched_layout, load
from swarm.engine.lora import Patched
from swarm.engine.preview import colours_for
from swarm.engine.runner import Model
from swarm.jobs.job import Job, LoraUse, ModelFile

_RESERVE = 2 * 1024**3
"""Bytes left free when a model is loaded: activations need room too."""


@dataclass(frozen=True)
class WeightsKey:
    """Pictures with equal keys run on the same weights. `loras`: (path, stamp, weight, text weight) each."""

    path: Path
    stamp: str
    loras: tuple[tuple[Path, str, float, float], ...] = ()


def weights_key(file: ModelFile, loras: Iterable[LoraUse] = ()) -> WeightsKey:
    """The key of a model file with LoRAs on it; LoRAs without any weight do not count."""
    used = [(use.file.path, use.file.stamp, use.weight, use.text_weight) for use in loras]
    return WeightsKey(file.path, file.stamp, tuple(entry for entry in used if entry[2] or entry[3]))


def model_of(job: Job) -> ModelFile:
    """The job's model. Raises BadInput when it names none."""
    if job.model is None:
        raise BadInput("No model input given. Did your UI load properly?")
    return job.model


class Models:
    """Loaded models by file; LoRAs are put into them and taken out of them as groups change."""

    def __init__(self, device: Device, architectures: Mapping[str, Architecture], clock: Callable[[], float]) -> None:
        self.device = device
        self._architectures = architectures
        self._clock = clock
        self._loaded: OrderedDict[WeightsKey, Model] = OrderedDict()
        self._patched: dict[WeightsKey, Patched] = {}
        self._seconds: dict[WeightsKey, float] = {}

    def is_ready(self, key: WeightsKey) -> bool:
        """Whether pictures of `key` can run without anything being read or changed first."""
        base = WeightsKey(key.path, key.stamp)
        return base in self._loaded and self._patched[base].uses == key.loras

    def is_loaded(self, file: ModelFile) -> bool:
        return weights_key(file) in self._loaded

    def swap_seconds(self, key: WeightsKey) -> float:
        """What it took to make `key` ready the last time; 0 if it is ready or was never."""
        return 0.0 if self.is_ready(key) else self._seconds.get(key, 0.0)

    def ready(self, file: ModelFile, loras: Iterable[LoraUse] = ()) -> Model:
        """The model with these LoRAs in it. Raises BadInput when a file cannot be used."""
        uses = tuple(loras)
        key, base = weights_key(file, uses), weights_key(file)
        if self.is_ready(key):
            self._loaded.move_to_end(base)
            return self._loaded[base]
        before = self._clock()
        model = self._loaded.get(base) or self._load(file, base)
        self._loaded.move_to_end(base)
        self._patched[base].put([use for use in uses if use.weight or use.text_weight], key.loras)
        self._seconds[key] = self._clock() - before
        return model

    def put_in_place(self, model: Model) -> None:
        """Use `model` from now on where its file is asked for; it must be loaded already."""
        self._loaded[weights_key(model.components.file)] = model

    def drop_others(self, kept: WeightsKey | None) -> bool:
        """Unload every model but the one of `kept`; True if there was one."""
        base = None if kept is None else WeightsKey(kept.path, kept.stamp)
        dropped = [key for key in self._loaded if key != base]
        for key in dropped:
            self._drop(key)
        return bool(dropped)

    def _load(self, file: ModelFile, key: WeightsKey) -> Model:
        for old in [old for old in self._loaded if old.path == file.path]:
            self._drop(old)
        need = _weight_bytes(file.path) + _RESERVE
        while self._loaded and self.device.free_memory() < need:
            self._drop(next(iter(self._loaded)))
        components = load(file, self.device, self._architectures)
        self._loaded[key] = model = made(components, self.device)
        self._patched[key] = Patched(components)
        return model

    def _drop(self, key: WeightsKey) -> None:
        components = self._loaded.pop(key).components
        del self._patched[key]
        for module in (components.unet, components.vae, *(encoder.model for encoder in components.text.encoders)):
            # Pictures in the making may still refer to the modules; their weights must go now all the same.
            module.to("meta")
        self.device.give_back()


def made(components: Components, device: Device) -> Model:
    """Components with their denoiser and preview colours."""
    denoiser = UnetDenoiser(components, device)
    return Model(components=components, denoiser=denoiser, colours=colours_for(components, device), device=device)


def runs_batched(file: ModelFile) -> bool:
    """Whether the batched tier can run this model; a folder of another pipeline class runs whole."""
    return batched_layout(file.path) is not None


def _weight_bytes(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*.safetensors"))
    return path.stat().st_size if path.exists() else 0
