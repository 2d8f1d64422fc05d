"""Which models are ready on the device: loaded when needed, kept while there is room, least recently used dropped."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from swarm.base.errors import BadInput
from swarm.engine.attending.joint_attention import denoiser_for
from swarm.engine.compiling import Regions
from swarm.engine.components import Components
from swarm.engine.device import Device, resting
from swarm.engine.errands import Errands
from swarm.engine.first_block import FirstBlock
from swarm.engine.loader import Families
from swarm.engine.loras.branches import Branches
from swarm.engine.loras.lora import Patched
from swarm.engine.once import let_go
from swarm.engine.parking import rest, wake
from swarm.engine.patches import Patches
from swarm.engine.preview import colours_for
from swarm.engine.readahead import read_ahead
from swarm.engine.runner import Model
from swarm.features.negative_model import negative_pass, unlike
from swarm.features.preferred_dtype import preferred_store
from swarm.jobs.job import Job, LoraUse, ModelFile
from swarm.jobs.stage import Pass, Patch

_RESERVE = 2 * 1024**3
"""Bytes left free when a model is loaded: activations need room too."""
_TOLD = "in_channels", "cross_attention_dim", "joint_attention_dim", "addition_embed_type"
"""What the entries of a denoiser's config are called that say what it can be told."""


@dataclass(frozen=True)
class WeightsKey:
    """Walks with equal keys run on the same weights. `parts`: (slot, path, stamp) of what completes or replaces
    components. `loras`: (path, stamp, weight, text weight) each. `patches`: (patch id, its key) each. `second`: the
    weights that answer for the negative prompt, where those are others. `copy`: 1 for weights that a walk needs twice,
    in two states. `store`: the format they rest in, where that is not the device's own choice (engine.device)."""

    path: Path
    stamp: str
    parts: tuple[tuple[str, Path, str], ...] = ()
    loras: tuple[tuple[Path, str, float, float], ...] = ()
    patches: tuple[tuple[str, Hashable], ...] = ()
    second: WeightsKey | None = None
    copy: int = 0
    store: str | None = None

    @property
    def base(self) -> WeightsKey:
        """The same without what is put in and taken out again."""
        return replace(self, loras=(), patches=(), second=None)

    @property
    def bases(self) -> tuple[WeightsKey, ...]:
        """What has to be loaded."""
        return (self.base,) if self.second is None else (self.base, self.second.base)


def file_key(file: ModelFile, parts: Mapping[str, ModelFile]) -> WeightsKey:
    """The key of a model without LoRAs and patches."""
    others = tuple((slot, part.path, part.stamp) for slot, part in sorted(parts.items()))
    return WeightsKey(file.path, file.stamp, others)


def weights_key(of: Pass, patches: Sequence[Patch]) -> WeightsKey:
    """The key of a walk; LoRAs without any weight do not count."""
    loras = tuple((use.file.path, use.file.stamp, use.weight, use.text_weight) for use in acting(of.loras))
    active = ((patch.id, patch.key(of)) for patch in patches if of.input.has(patch.when))
    found = tuple((id, key) for id, key in active if key is not None)
    return replace(file_key(of.model, of.parts), loras=loras, patches=found)


def acting(loras: Iterable[LoraUse]) -> list[LoraUse]:
    """The LoRAs that change anything."""
    return [use for use in loras if use.weight or use.text_weight]


def model_of(job: Job) -> ModelFile:
    """The job's model. Raises BadInput when it names none."""
    if job.model is None:
        raise BadInput("No model input given. Did your UI load properly?")
    return job.model


class Models:
    """Loaded models by file; LoRAs and patches are put into them and taken out of them as groups change."""

    def __init__(
        self, device: Device, families: Families, clock: Callable[[], float], patches: Sequence[Patch] = ()
    ) -> None:
        self.device = device
        self.errands = Errands(device)
        self.patches = sorted(patches, key=lambda patch: (patch.order, patch.id))
        self._families = families
        self._clock = clock
        self._loaded: OrderedDict[WeightsKey, Model] = OrderedDict()
        self._patched: dict[WeightsKey, Patched] = {}
        self._changed: dict[WeightsKey, Patches] = {}
        self._seconds: dict[WeightsKey, float] = {}
        self._parked: OrderedDict[WeightsKey, Model] = OrderedDict()
        self._announced: set[WeightsKey] = set()

    def runs_batched(self, file: ModelFile) -> bool:
        """Whether the batched tier can run this model. Raises BadInput for a folder that is none."""
        return self._families.adapter_of(file) is not None

    def key(self, of: Pass) -> WeightsKey:
        own, other = self._own_key(of), negative_pass(of)
        second = own if other is None else self._own_key(other)
        if second == own:
            return own
        return replace(own, second=replace(second, copy=1) if second.base == own.base else second)

    def _own_key(self, of: Pass) -> WeightsKey:
        kind = preferred_store(of.input)
        changes = resting(self.device, kind) is not self.device
        return replace(weights_key(of, self.patches), store=kind if changes else None)

    def is_ready(self, key: WeightsKey) -> bool:
        """Whether walks of `key` can run without anything being read or changed first."""
        if key.second is not None and not self.is_ready(key.second):
            return False
        base = key.base
        if base not in self._loaded:
            return False
        return self._patched[base].uses == key.loras and self._changed[base].active == key.patches

    def is_loaded(self, key: WeightsKey) -> bool:
        """Whether its files are in memory."""
        return all(base in self._loaded for base in key.bases)

    def swap_seconds(self, key: WeightsKey) -> float:
        """What it took to make `key` ready the last time; 0 if it is ready or was never."""
        return 0.0 if self.is_ready(key) else self._seconds.get(key, 0.0)

    def ready(self, of: Pass) -> Model:
        """The model of a walk with its LoRAs and patches in it. Raises BadInput when a file cannot be used."""
        key = self.key(of)
        if self.is_ready(key):
            for base in key.bases:
                self._loaded.move_to_end(base)
            model = self._loaded[key.base]
            return model if key.second is None else replace(model, second=self._loaded[key.second.base])
        before = self._clock()
        model = self._made_ready(of, key, key.bases)
        if key.second is not None and (other := negative_pass(of)) is not None:
            second = self._made_ready(other, key.second, key.bases)
            refuse_unlike(model.components, second.components)
            model = replace(model, second=second)
        self._seconds[key] = self._clock() - before
        return model

    def _made_ready(self, of: Pass, key: WeightsKey, kept: Sequence[WeightsKey]) -> Model:
        """One model of a walk with its LoRAs and patches in it; those of `kept` stay loaded."""
        base = key.base
        model = self._held(of.model, of.parts, base, kept)
        self._changed[base].put(())
        if self._patched[base].uses != key.loras:
            self._patched[base].put(acting(of.loras), key.loras)
        self._changed[base].put(key.patches)
        return model

    def with_vae(self, of: Pass) -> Model:
        """The model of a walk, its patches in it, with whatever LoRAs are in it now: they leave the VAE alone."""
        key = self.key(of)
        model = self._held(of.model, of.parts, key.base, ())
        self._changed[key.base].put(key.patches)
        return model

    def loaded(self, file: ModelFile, parts: Mapping[str, ModelFile]) -> Model:
        """The model with whatever is in it now."""
        return self._held(file, parts, file_key(file, parts), ())

    def _held(
        self, file: ModelFile, parts: Mapping[str, ModelFile], base: WeightsKey, kept: Sequence[WeightsKey]
    ) -> Model:
        model = self._loaded.get(base) or self._load(file, parts, base, kept)
        self._loaded.move_to_end(base)
        return model

    def announce(self, key: WeightsKey) -> None:
        """`key` will be wanted soon: have its files read into the system's cache while the device works."""
        for base in key.bases:
            if base not in self._loaded and base not in self._parked and base not in self._announced:
                self._announced.add(base)
                read_ahead([base.path, *(path for _slot, path, _stamp in base.parts)])

    def put_in_place(self, model: Model, parts: Mapping[str, ModelFile]) -> None:
        """Use `model` from now on where its files are asked for; they must be loaded already."""
        self._loaded[file_key(model.components.file, parts)] = model

    def to_compile(self) -> Regions | None:
        """The blocks of a model on the device that are yet to be compiled, if any."""
        return next((model.regions for model in self._loaded.values() if model.regions.waiting), None)

    def compile_one(self) -> None:
        """Compile one of them, under the patches that were in the model when it was called. Raises as compilers do."""
        base, model = next((base, model) for base, model in self._loaded.items() if model.regions.waiting)
        self._changed[base].put(model.regions.next_changed)
        model.regions.compile_one()

    def blocks(self) -> tuple[int, int]:
        """How many blocks of the models on the device are compiled, and how many are to be."""
        regions = [model.regions for model in self._loaded.values()]
        return sum(each.ready for each in regions), sum(each.waiting for each in regions)

    def drop_others(self, kept: WeightsKey | None) -> bool:
        """Unload every model but those of `kept`, from main memory too; True if there was one."""
        dropped = [key for key in self._loaded if kept is None or key not in kept.bases]
        for key in dropped:
            self._drop(key, park=False)
        parked, self._parked = bool(self._parked), OrderedDict()
        return bool(dropped) or parked

    def _load(
        self, file: ModelFile, parts: Mapping[str, ModelFile], key: WeightsKey, kept: Sequence[WeightsKey]
    ) -> Model:
        for old in [old for old in self._loaded if old.path == key.path and old.stamp != key.stamp]:
            self._drop(old, park=False)
        parked = self._parked.pop(key, None)
        need = parked.components.bytes if parked else sum(_weight_bytes(one.path) for one in (file, *parts.values()))
        droppable = [one for one in self._loaded if one not in kept]
        while droppable and self.device.free_memory() < need + _RESERVE:
            self._drop(droppable.pop(0), park=self.device.is_cuda)
        self._announced.discard(key)
        if parked is None:
            components = self._families.load(file, resting(self.device, key.store), parts)
            model = made(components, self.device, self.errands)
        else:
            model = parked
            wake(model.components, self.device)
        self._loaded[key] = model
        self._patched[key] = Patched(model.components)
        self._changed[key] = Patches(model.components, self.patches, model.regions)
        return model

    def _drop(self, key: WeightsKey, *, park: bool) -> None:
        """Take a model off the device. `park`: keep it in main memory if there is room for it."""
        self._changed.pop(key).put(())
        self._patched.pop(key).put((), ())
        model = self._loaded.pop(key)
        if park and self._has_room_to_park(model.components.bytes):
            rest(model.components)
            let_go(model)
            let_go(model.denoiser)
            self._parked[key] = model
        else:
            for module in model.components.modules:
                # Pictures in the making may still refer to the modules; their weights must go now all the same.
                module.to("meta")
        self.device.give_back()

    def _has_room_to_park(self, need: int) -> bool:
        """Whether a quarter of main memory stays free with `need` more bytes in it; longest parked models go first."""
        memory = psutil.virtual_memory()
        kept_free = memory.total // 4
        while self._parked and psutil.virtual_memory().available - need < kept_free:
            self._parked.popitem(last=False)
        return int(psutil.virtual_memory().available) - need >= kept_free


def made(components: Components, device: Device, errands: Errands) -> Model:
    """Components with their denoiser and preview colours."""
    chain = components.adapter.chain
    return Model(
        components=components,
        denoiser=denoiser_for(components, device),
        branches=Branches(components),
        colours=colours_for(components, device),
        device=device,
        errands=errands,
        regions=Regions(components.file.name),
        first_block=None if chain is None else FirstBlock(components.denoiser, chain()),
    )


def refuse_unlike(main: Components, second: Components) -> None:
    """Raises BadInput where the second model cannot be told what the main one is told."""
    configs = main.denoiser.config, second.denoiser.config
    told = [[getattr(config, name, None) for name in _TOLD] for config in configs]
    if main.architecture.compat.id != second.architecture.compat.id or told[0] != told[1]:
        raise BadInput(unlike(second.file.name, main.file.name))


def _weight_bytes(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*.safetensors"))
    return path.stat().st_size if path.exists() else 0
