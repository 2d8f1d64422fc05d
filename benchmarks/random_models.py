"""SDXL and Flux.1 at their true size, with random weights made on the device: for benchmarks where no weights are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, FluxTransformer2DModel, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

from swarm.architectures.architecture import LatentFormat
from swarm.engine.adapters.flux_load import SHORTEST, FluxText
from swarm.engine.components import Adapter, Parts, Source, Vae
from swarm.engine.device import Device
from swarm.engine.vaes.image_vae import image_vae
from swarm.engine.words.text import ClipEncoder, ClipText
from swarm.engine.words.text_t5 import T5Encoder
from swarm.engine.words.tokenizer import clip_tokenizer, t5_tokenizer
from swarm.jobs.job import ModelFile

SDXL, FLUX = "stable-diffusion-xl-v1-base", "Flux.1-dev"
_VAE_BLOCKS = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}


def random_adapters(adapters: Mapping[str, Adapter], *, tiny: bool) -> dict[str, Adapter]:
    """The engine's own adapters, which make weights up instead of reading them. `tiny`: at a size for the processor."""

    def sdxl(source: Source) -> Parts:
        return _sdxl(source.device, tiny=tiny)

    def flux(source: Source) -> Parts:
        return _flux(source.device, tiny=tiny)

    made = {"unet": replace(adapters["unet"], load=sdxl), "flux": replace(adapters["flux"], load=flux)}
    return {**adapters, **made}


def random_file(folder: Path, family: str) -> ModelFile:
    """A file with nothing in it that stands for a model of `family`."""
    path = folder / f"{family.replace('/', '-')}.safetensors"
    save_file({"nothing": torch.zeros(1)}, path)
    return ModelFile(name=path.name, path=path, family=family, stamp="1")


def _random(kind: Any, config: Any, device: Device, dtype: torch.dtype, *, spread: float = 0.02) -> Any:
    """A network of random weights, made where it will be; norms are 1, biases 0."""
    with init_empty_weights(include_buffers=False):
        network = kind.from_config(config) if isinstance(config, dict) else kind(config)
    # Its format is chosen while it is empty, so that no float32 twice as large is ever made.
    network = network.to(dtype)
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network = network.to_empty(device=device.place)
    generator = torch.Generator(device.place).manual_seed(0)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0.0, spread, generator=generator)
            else:
                weight.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
    return network.eval().requires_grad_(False)


def _clip(device: Device, *, width: int, layers: int, heads: int, activation: str, projected: bool) -> Any:
    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=width,
        hidden_act=activation,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=49407,
    )
    return _random(CLIPTextModelWithProjection if projected else CLIPTextModel, config, device, device.compute)


def _vae(device: Device, *, channels: int, scale: float, shift: float | None, tiny: bool) -> Vae:
    config = {
        **_VAE_BLOCKS,
        "latent_channels": channels,
        "scaling_factor": scale,
        "block_out_channels": (8, 8, 16, 16) if tiny else (128, 256, 512, 512),
        "norm_num_groups": 8 if tiny else 32,
        "use_quant_conv": shift is None,
        "use_post_quant_conv": shift is None,
        **({} if shift is None else {"shift_factor": shift}),
    }
    latent = LatentFormat(channels=channels, scale=scale, shift=shift or 0.0)
    return image_vae(_random(AutoencoderKL, config, device, device.decode), latent)


def _sdxl(device: Device, *, tiny: bool) -> Parts:
    small, large = (32, 64) if tiny else (768, 1280)
    config = {
        "block_out_channels": (32, 64, 64) if tiny else (320, 640, 1280),
        "layers_per_block": 2,
        "transformer_layers_per_block": (1, 1, 2) if tiny else (1, 2, 10),
        "attention_head_dim": (1, 1, 1) if tiny else (5, 10, 20),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 6 * 256 + large,
        "cross_attention_dim": small + large,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    }
    text = (
        _clip(device, width=small, layers=2 if tiny else 12, heads=small // 32 if tiny else 12, activation="quick_gelu",
              projected=False),
        _clip(device, width=large, layers=2 if tiny else 32, heads=large // 32 if tiny else 20, activation="gelu",
              projected=True),
    )  # fmt: skip
    clips = [
        ClipEncoder(model=model, device=device.place, pad=0 if number else None, default_layer=-2, normalise=False)
        for number, model in enumerate(text)
    ]
    return Parts(
        denoiser=_random(UNet2DConditionModel, config, device, device.compute),
        vae=_vae(device, channels=4, scale=0.13025, shift=None, tiny=tiny),
        text=ClipText(clips, clip_tokenizer()),
        text_modules=text,
        family=SDXL,
    )


def _flux(device: Device, *, tiny: bool) -> Parts:
    dtype = torch.bfloat16 if device.is_cuda else torch.float32
    small, words = (32, 64) if tiny else (768, 4096)
    config = {
        "patch_size": 1,
        "in_channels": 64,
        "num_layers": 1 if tiny else 19,
        "num_single_layers": 2 if tiny else 38,
        "attention_head_dim": 32 if tiny else 128,
        "num_attention_heads": 2 if tiny else 24,
        "joint_attention_dim": words,
        "pooled_projection_dim": small,
        "guidance_embeds": True,
        "axes_dims_rope": (8, 12, 12) if tiny else (16, 56, 56),
    }
    t5 = T5Config(
        vocab_size=32128,
        d_model=words,
        d_kv=16 if tiny else 64,
        d_ff=2 * words if tiny else 10240,
        num_layers=2 if tiny else 24,
        num_heads=4 if tiny else 64,
        feed_forward_proj="gated-gelu",
    )
    clip = _clip(device, width=small, layers=2 if tiny else 12, heads=1 if tiny else 12, activation="quick_gelu",
                 projected=False)  # fmt: skip
    encoder = _random(T5EncoderModel, t5, device, dtype)
    first = ClipEncoder(model=clip, device=device.place, pad=None, default_layer=-1, normalise=False, summary=True)
    return Parts(
        denoiser=_random(FluxTransformer2DModel, config, device, dtype),
        vae=_vae(device, channels=16, scale=0.3611, shift=0.1159, tiny=tiny),
        text=FluxText(first, T5Encoder(encoder, t5_tokenizer(), device.place, shortest=SHORTEST)),
        text_modules=(clip, encoder),
        compute=dtype,
        family=FLUX,
    )
