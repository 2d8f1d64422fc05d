"""Model file or folder in, components on the device out. Offline, strict: a missing tensor is an error at load time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from swarm.architectures.architecture import Architecture, LatentFormat
from swarm.base.errors import BadInput
from swarm.diffusion.sigmas import SigmaTable
from swarm.engine.checkpoint import Checkpoint
from swarm.engine.device import Device
from swarm.engine.keys import open_clip_key, unet_key, vae_key
from swarm.engine.shapes import clip_config, unet_config, unet_layers, vae_config
from swarm.engine.text import ClipEncoder, TextEncoders
from swarm.engine.tokenizer import clip_tokenizer
from swarm.jobs.job import ModelFile

Named = Iterable[tuple[str, torch.Tensor]]
Config = dict[str, Any]
SD1, SDXL = "stable-diffusion-v1", "stable-diffusion-xl-v1-base"
_UNET, _VAE = "model.diffusion_model.", "first_stage_model."
_CLIP_PREFIXES = ("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.")
_XL_CLIP_L, _XL_CLIP_G = "conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model."
_BATCHED_PIPELINES = {"StableDiffusionPipeline": SD1, "StableDiffusionXLPipeline": SDXL}
_NOT_WEIGHTS = ("embeddings.position_ids", "logit_scale")


@dataclass(frozen=True, kw_only=True, eq=False)
class Components:
    """A loaded model of the batched tier. `vae_factor`: pixels per latent cell. `bytes`: what its weights take."""

    file: ModelFile
    architecture: Architecture
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text: TextEncoders
    prediction: str
    table: SigmaTable
    latent: LatentFormat
    vae_factor: int
    bytes: int


def load(file: ModelFile, device: Device, architectures: Mapping[str, Architecture]) -> Components:
    """Read a model of the batched tier onto the device. Raises BadInput with a sentence when it cannot be used."""
    if file.path.is_dir():
        return _assembled(file, _folder_parts(file.path, device), device, architectures)
    return _assembled(file, _file_parts(file.path, device), device, architectures)


def batched_layout(path: Path) -> str | None:
    """The family id if the batched tier can run what is at `path`, None for a folder only its own pipeline can run."""
    if not path.is_dir():
        return SD1
    return _BATCHED_PIPELINES.get(str(read_json(path / "model_index.json").get("_class_name")))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Parts:
    """What was read, before it is put on the device. `noise`: entries of a scheduler config."""

    layout: str
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text: tuple[CLIPTextModel | CLIPTextModelWithProjection, ...]
    tokenizer: CLIPTokenizer
    noise: Config


def _assembled(file: ModelFile, parts: _Parts, device: Device, architectures: Mapping[str, Architecture]) -> Components:
    architecture = architectures.get(file.family or "") or architectures[parts.layout]
    modules: list[torch.nn.Module] = [parts.unet, parts.vae, *parts.text]
    for module in modules:
        _refuse_gaps(file.name, module)
    _settle(parts.unet, device, device.compute)
    _settle(parts.vae, device, device.decode)
    if device.is_cuda:
        parts.unet.to(memory_format=torch.channels_last)
        parts.vae.to(memory_format=torch.channels_last)
    for encoder in parts.text:
        _settle(encoder, device, device.compute)
    xl = parts.layout == SDXL
    clips = [ClipEncoder(model=model, device=device.place, pad=0 if number else None, default_layer=-2 if xl else -1,
                         normalise=not xl) for number, model in enumerate(parts.text)]  # fmt: skip
    factor = 2 ** (len(parts.vae.config.block_out_channels) - 1)
    return Components(
        file=file,
        architecture=architecture,
        unet=parts.unet,
        vae=parts.vae,
        text=TextEncoders(clips, parts.tokenizer),
        prediction=str(parts.noise.get("prediction_type", architecture.prediction)),
        table=_table(architecture, parts.noise),
        latent=architecture.latent or LatentFormat(channels=4, scale=parts.vae.config.scaling_factor),
        vae_factor=factor,
        bytes=sum(weight.nbytes for module in modules for weight in module.parameters()),
    )


def _table(architecture: Architecture, noise: Config) -> SigmaTable:
    """The family's training sigmas, with what the file says otherwise."""
    trained = replace(
        architecture,
        beta_start=noise.get("beta_start", architecture.beta_start),
        beta_end=noise.get("beta_end", architecture.beta_end),
        train_steps=noise.get("num_train_timesteps", architecture.train_steps),
    )
    zero = noise.get("rescale_betas_zero_snr")
    return trained.sigma_table(zero_snr=None if zero is None else bool(zero))


def _settle(module: torch.nn.Module, device: Device, dtype: torch.dtype) -> None:
    module.to(device=device.place, dtype=dtype).eval().requires_grad_(False)


def _refuse_gaps(name: str, module: torch.nn.Module) -> None:
    missing = [key for key, weight in module.named_parameters() if weight.is_meta]
    if missing:
        shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        raise BadInput(
            f"The model '{name}' is incomplete: its {type(module).__name__} lacks {len(missing)} tensors ({shown})."
        )


# -- single files ------------------------------------------------------------------------------------------------


def _file_parts(path: Path, device: Device) -> _Parts:
    checkpoint = Checkpoint(path)
    unet_shapes, vae_shapes = checkpoint.below(_UNET), checkpoint.below(_VAE)
    layout = _layout(checkpoint)
    own = checkpoint.config()
    layers = unet_layers(unet_shapes)
    unet = _built(UNet2DConditionModel, unet_config(unet_shapes) | own.get("unet", {}))
    named = ((unet_key(name, layers), tensor) for name, tensor in checkpoint.tensors_below(_UNET))
    _fill(unet, path.name, ((key, tensor) for key, tensor in named if key), device.compute)
    scale = 0.13025 if layout == SDXL else 0.18215
    vae_settings = vae_config(vae_shapes, scaling_factor=scale) | own.get("vae", {})
    vae = _built(AutoencoderKL, vae_settings)
    levels = len(vae_settings["block_out_channels"])
    decoder = ((vae_key(name, levels), tensor) for name, tensor in checkpoint.tensors_below(_VAE))
    _fill(vae, path.name, ((key, tensor) for key, tensor in decoder if key), device.decode)
    text = _xl_text(checkpoint, own, device) if layout == SDXL else (_sd_text(checkpoint, own, device),)
    noise = own.get("scheduler", {}) | _marked_prediction(checkpoint)
    return _Parts(layout=layout, unet=unet, vae=vae, text=text, tokenizer=clip_tokenizer(), noise=noise)


def _layout(checkpoint: Checkpoint) -> str:
    shapes = checkpoint.shapes
    if not any(name.startswith(_UNET) for name in shapes):
        raise BadInput(f"The model file '{checkpoint.path.name}' holds no Stable Diffusion denoiser that can be run.")
    if not any(name.startswith(_VAE) for name in shapes):
        raise BadInput(f"The model file '{checkpoint.path.name}' holds no VAE; a full checkpoint is needed.")
    if any(name.startswith(_XL_CLIP_G) for name in shapes):
        return SDXL
    if any(name.startswith(_CLIP_PREFIXES) for name in shapes):
        return SD1
    raise BadInput(f"The model file '{checkpoint.path.name}' holds no text encoder; a full checkpoint is needed.")


def _marked_prediction(checkpoint: Checkpoint) -> Config:
    """Marker tensors that v-prediction checkpoints carry, and the ModelSpec entry."""
    said = checkpoint.metadata.get("modelspec.prediction_type", "")
    if "v_pred" in checkpoint.shapes or said.startswith("v"):
        return {"prediction_type": "v_prediction", "rescale_betas_zero_snr": "ztsnr" in checkpoint.shapes}
    return {}


def _sd_text(checkpoint: Checkpoint, own: Mapping[str, Config], device: Device) -> CLIPTextModel:
    prefix = next(prefix for prefix in _CLIP_PREFIXES if any(name.startswith(prefix) for name in checkpoint.shapes))
    return _clip_l(checkpoint, prefix, own, device)


def _xl_text(checkpoint: Checkpoint, own: Mapping[str, Config], device: Device) -> tuple[CLIPTextModel, ...]:
    named = list(_open_clip(checkpoint.tensors_below(_XL_CLIP_G)))
    shapes = {key: tuple(tensor.shape) for key, tensor in named}
    config = clip_config(shapes, activation="gelu") | own.get("text_encoder_2", {})
    with init_empty_weights(include_buffers=False):
        second = CLIPTextModelWithProjection(CLIPTextConfig(**config))
    wrapped = ((key if key.startswith("text_projection") else f"text_model.{key}", tensor) for key, tensor in named)
    _fill(second, checkpoint.path.name, wrapped, device.compute)
    return _clip_l(checkpoint, _XL_CLIP_L, own, device), second


def _clip_l(checkpoint: Checkpoint, prefix: str, own: Mapping[str, Config], device: Device) -> CLIPTextModel:
    config = clip_config(checkpoint.below(prefix), activation="quick_gelu") | own.get("text_encoder", {})
    with init_empty_weights(include_buffers=False):
        model = CLIPTextModel(CLIPTextConfig(**config))
    _fill(model, checkpoint.path.name, checkpoint.tensors_below(prefix), device.compute)
    return model


def _open_clip(tensors: Named) -> Iterator[tuple[str, torch.Tensor]]:
    """OpenCLIP tensors in transformers' names: fused projections cut in three, the text projection transposed."""
    for name, tensor in tensors:
        key = open_clip_key(name)
        if key is None:
            continue
        if key == "text_projection.weight":
            yield key, tensor.T.contiguous()
        elif ".attn.in_proj_" in key:
            home, end = key.split(".attn.in_proj_")
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                yield f"{home}.self_attn.{part}_proj.{end}", piece.contiguous()
        else:
            yield key, tensor


def _built(kind: Any, config: Config) -> Any:
    with init_empty_weights(include_buffers=False):
        return kind.from_config(config)


def _fill(module: torch.nn.Module, name: str, tensors: Named, dtype: torch.dtype) -> None:
    """Give an empty module its weights. Raises BadInput when shapes do not fit; gaps are found by `_refuse_gaps`."""
    expected = {key: weight.shape for key, weight in module.named_parameters()}
    state = {}
    for key, tensor in tensors:
        if key.endswith(_NOT_WEIGHTS) or key not in expected:
            continue
        wanted = expected[key]
        if tensor.numel() != wanted.numel():
            raise BadInput(
                f"The model '{name}' does not fit its family: {key} is {tuple(tensor.shape)}, not {tuple(wanted)}."
            )
        state[key] = tensor.reshape(wanted).to(dtype)
    module.load_state_dict(state, strict=False, assign=True)


# -- diffusers folders -------------------------------------------------------------------------------------------


def read_json(path: Path) -> Config:
    """A JSON object from a model folder. Raises BadInput when it is missing or is something else."""
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"The model folder's file '{path.name}' cannot be read ({error}).") from None
    if not isinstance(parsed, dict):
        raise BadInput(f"The model folder's file '{path.name}' is not a JSON object.")
    return parsed


def _folder_parts(path: Path, device: Device) -> _Parts:
    layout = batched_layout(path)
    if layout is None:
        raise BadInput(f"The model folder '{path.name}' needs its own pipeline.")
    try:
        unet = UNet2DConditionModel.from_pretrained(path / "unet", local_files_only=True, dtype=device.compute)
        vae = AutoencoderKL.from_pretrained(path / "vae", local_files_only=True, dtype=device.decode)
        text = [CLIPTextModel.from_pretrained(path / "text_encoder", local_files_only=True, dtype=device.compute)]
        if layout == SDXL:
            second = path / "text_encoder_2"
            text.append(
                CLIPTextModelWithProjection.from_pretrained(second, local_files_only=True, dtype=device.compute)
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(unloadable(path, error)) from None
    noise = read_json(path / "scheduler" / "scheduler_config.json")
    return _Parts(layout=layout, unet=unet, vae=vae, text=tuple(text), tokenizer=_folder_tokenizer(path), noise=noise)


def unloadable(path: Path, error: Exception) -> str:
    """Why a folder cannot be loaded: the library's first line, with the folder's place on the disk left out."""
    first = next(iter(str(error).replace(f"{path}/", "").replace(str(path), path.name).splitlines()), "")
    return f"The model folder '{path.name}' is incomplete or damaged and cannot be loaded: {first.rstrip('.')}."


def _folder_tokenizer(path: Path) -> CLIPTokenizer:
    folder = path / "tokenizer"
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True) if folder.is_dir() else clip_tokenizer()
