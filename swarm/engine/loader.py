"""Model file or folder in, components on the device out. Offline, strict: a missing tensor is an error at load time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights

from swarm.architectures.architecture import Architecture, LatentFormat
from swarm.base.errors import BadInput
from swarm.diffusion.sigmas import SigmaTable
from swarm.engine.components import Adapter, Components, Parts, Source
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.residency import HOME, Residency, choose, offload_blocks, visiting
from swarm.jobs.job import ModelFile

Named = Iterable[tuple[str, torch.Tensor]]
Config = dict[str, Any]
DEFAULT_ADAPTER = "unet"
"""Tried for single files of no known family: custom UNets are told apart by their shapes only."""
_NOT_WEIGHTS = ("embeddings.position_ids", "logit_scale")


class Families:
    """Which adapter runs a model."""

    def __init__(
        self, architectures: Mapping[str, Architecture], adapters: Mapping[str, Adapter], residency: str = "auto"
    ) -> None:
        """`residency`: a value of Residency for every model, or `auto`."""
        self._architectures = architectures
        self._adapters = adapters
        self._residency = residency

    def adapter_of(self, file: ModelFile) -> Adapter | None:
        """The adapter that runs a model; None for what only a whole pipeline can run. Raises BadInput."""
        if file.path.is_dir():
            kind = str(read_json(file.path / "model_index.json").get("_class_name"))
            return next((adapter for adapter in self._adapters.values() if kind in adapter.pipelines), None)
        family = self._architectures.get(file.family or "")
        if family is None:
            return self._adapters[DEFAULT_ADAPTER]
        return None if family.adapter is None else self._adapters[family.adapter]

    def load(self, file: ModelFile, device: Device, parts: Mapping[str, ModelFile]) -> Components:
        """Read a model of the batched tier onto the device. Raises BadInput with a sentence when it cannot be used."""
        adapter = self.adapter_of(file)
        if adapter is None:
            raise BadInput(f"The model '{file.name}' needs its own pipeline.")
        folder = file.path if file.path.is_dir() else None
        source = Source(
            file=file,
            device=device,
            architecture=self._architecture(file, adapter),
            checkpoint=None if folder else Checkpoint(file.path),
            folder=folder,
            parts=parts,
        )
        read = adapter.load(source)
        architecture = source.architecture
        if read.family is not None and file.family not in self._architectures:
            architecture = self._architectures[read.family]
        return _assembled(source, architecture, adapter, read, self._residency)

    def _architecture(self, file: ModelFile, adapter: Adapter) -> Architecture:
        known = self._architectures.get(file.family or "")
        if known is not None and known.adapter == adapter.id:
            return known
        if file.path.is_dir():
            kind = str(read_json(file.path / "model_index.json").get("_class_name"))
            return self._architectures[adapter.pipelines[kind]]
        return self._architectures[next(iter(adapter.pipelines.values()))]


def _assembled(source: Source, architecture: Architecture, adapter: Adapter, parts: Parts, asked: str) -> Components:
    device = source.device
    modules: list[torch.nn.Module] = [parts.denoiser, parts.vae.module, *parts.text_modules]
    for module in modules:
        refuse_gaps(source.file.name, module)
    residency = _placed(parts, device, asked)
    return Components(
        file=source.file,
        architecture=architecture,
        adapter=adapter,
        denoiser=parts.denoiser,
        vae=parts.vae,
        text=parts.text,
        text_modules=parts.text_modules,
        prediction=str(parts.noise.get("prediction_type", architecture.prediction)),
        table=_table(architecture, parts.noise),
        latent=parts.latent or architecture.latent or LatentFormat(channels=parts.vae.channels, scale=parts.vae.scale),
        bytes=sum(map(_bytes, modules)),
        residency=residency,
    )


def _placed(parts: Parts, device: Device, asked: str) -> Residency:
    """Put the parts where they will be: on the device, or at home until they are needed."""
    compute = parts.compute or device.compute
    vae, text = _bytes(parts.vae.module), sum(map(_bytes, parts.text_modules))
    # Made smaller where it was read, so that the device never has to hold it as it was.
    parts.denoiser.to(compute).eval().requires_grad_(False)
    if device.store is not None:
        if device.is_cuda:
            _channels_last(parts.denoiser)
        # diffusers keeps the layers that suffer most from it (norms, embeddings, the last projection) as they are.
        parts.denoiser.enable_layerwise_casting(storage_dtype=device.store, compute_dtype=compute)  # type: ignore[operator]
    residency = choose(asked, device, denoiser=_bytes(parts.denoiser), rest=vae + text, visitor=max(vae, text))
    place = device.place if residency is Residency.FULL else HOME
    settle(parts.vae.module, place, device.decode)
    for encoder in parts.text_modules:
        settle(encoder, place, compute)
    if residency is not Residency.FULL:
        parts.vae.awake = visiting((parts.vae.module,), device)
        parts.text.awake = visiting(parts.text_modules, device)
    parts.denoiser.to(HOME if residency is Residency.LOW else device.place)
    if device.is_cuda:
        _channels_last(parts.denoiser)
        _channels_last(parts.vae.module)
    if residency is Residency.LOW:
        offload_blocks(parts.denoiser, device)
    return residency


def _channels_last(module: torch.nn.Module) -> None:
    """The order that convolutions over pictures are quickest in; those over films know no such order."""
    if all(weight.ndim < 5 for weight in module.parameters()):
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _bytes(module: torch.nn.Module) -> int:
    return sum(weight.nbytes for weight in module.parameters())


def _table(architecture: Architecture, noise: Mapping[str, Any]) -> SigmaTable:
    """The family's training sigmas, with what the file says otherwise, or an `edm_range` (lowest, highest)."""
    if "edm_range" in noise:
        return SigmaTable.edm(*noise["edm_range"])
    trained = replace(
        architecture,
        beta_start=noise.get("beta_start", architecture.beta_start),
        beta_end=noise.get("beta_end", architecture.beta_end),
        train_steps=noise.get("num_train_timesteps", architecture.train_steps),
    )
    zero = noise.get("rescale_betas_zero_snr")
    return trained.sigma_table(zero_snr=None if zero is None else bool(zero), flow_shift=noise.get("flow_shift"))


def settle(module: torch.nn.Module, place: torch.device, dtype: torch.dtype) -> None:
    """Put a module where and how it will be."""
    module.to(device=place, dtype=dtype).eval().requires_grad_(False)


def refuse_gaps(name: str, module: torch.nn.Module) -> None:
    """Raises BadInput when weights of a module were in no file."""
    missing = [key for key, weight in module.named_parameters() if weight.is_meta]
    if missing:
        shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        raise BadInput(
            f"The model '{name}' is incomplete: its {type(module).__name__} lacks {len(missing)} tensors ({shown})."
        )


def built(kind: Any, config: Mapping[str, Any]) -> Any:
    """An empty diffusers model from its config; its weights are to be filled in."""
    with init_empty_weights(include_buffers=False):
        return kind.from_config(dict(config))


def fill(module: torch.nn.Module, name: str, tensors: Named, dtype: torch.dtype) -> None:
    """Give an empty module its weights. Raises BadInput when shapes do not fit; gaps are found by `refuse_gaps`."""
    expected = {key: weight.shape for key, weight in module.named_parameters()}
    buffers = {key for key, _ in module.named_buffers()}
    state = {}
    for key, tensor in tensors:
        if key.endswith(_NOT_WEIGHTS) or (key not in expected and key not in buffers):
            continue
        wanted = expected.get(key, tensor.shape)
        if tensor.numel() != wanted.numel():
            raise BadInput(
                f"The model '{name}' does not fit its family: {key} is {tuple(tensor.shape)}, not {tuple(wanted)}."
            )
        state[key] = tensor.reshape(wanted).to(dtype)
    module.load_state_dict(state, strict=False, assign=True)


def read_json(path: Path) -> Config:
    """A JSON object from a model folder. Raises BadInput when it is missing or is something else."""
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"The model folder's file '{path.name}' cannot be read ({error}).") from None
    if not isinstance(parsed, dict):
        raise BadInput(f"The model folder's file '{path.name}' is not a JSON object.")
    return parsed


def unloadable(path: Path, error: Exception) -> str:
    """Why a folder cannot be loaded: the library's first line, with the folder's place on the disk left out."""
    first = next(iter(str(error).replace(f"{path}/", "").replace(str(path), path.name).splitlines()), "")
    return f"The model folder '{path.name}' is incomplete or damaged and cannot be loaded: {first.rstrip('.')}."
