"""What the UNet families share: small networks, their original names, and the parts of their single files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tests.support.tiny import autoencoders, encoders
from tests.support.tiny.weights import Tensors, below, refreshed, state
from tests.support.tiny_models import open_clip, unet_name

PREFIX = "model.diffusion_model."
_CROSS, _PLAIN = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D"), ("DownBlock2D", "UpBlock2D")


def unet(crossed: tuple[bool, ...], *, context: int, seed: int, linear: bool, inputs: int = 4, numbers: int = 0) -> Any:
    """A UNet with a level for each entry of `crossed`: whether it hears the prompt. `numbers`: SDXL's size numbers."""
    channels = (32, 32, 32, 64)[: len(crossed)]
    sized = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 256 * numbers + encoders.CLIP_G,
    }
    model = UNet2DConditionModel(
        in_channels=inputs,
        block_out_channels=channels,
        layers_per_block=2,
        sample_size=64,
        cross_attention_dim=context,
        attention_head_dim=(1,) * len(channels) if linear else 8,
        use_linear_projection=linear,
        down_block_types=tuple((_CROSS if hears else _PLAIN)[0] for hears in crossed),
        up_block_types=tuple((_CROSS if hears else _PLAIN)[1] for hears in reversed(crossed)),
        **(sized if numbers else {}),
    )
    return refreshed(model, seed)


def original(model: Any) -> Tensors:
    """The UNet's weights by the original names, without prefix."""
    layers = model.config.layers_per_block
    return {unet_name(name, model, layers): value.detach().half() for name, value in model.named_parameters()}


def converter(make: Callable[[], Any]) -> Callable[[Tensors], Tensors]:
    """diffusers' converter for the original names of a UNet."""

    def convert(tensors: Tensors) -> Tensors:
        found: Tensors = convert_ldm_unet_checkpoint(below(PREFIX, tensors), dict(make().config))
        return found

    return convert


def vae_tensors(scale: float) -> Tensors:
    return below("first_stage_model.", autoencoders.original_kl(autoencoders.sd_vae(scale)))


def clip_tensors(prefix: str) -> Tensors:
    """CLIP-L as checkpoints hold it: without its projection, with its positions. `prefix` ends before `text_model.`."""
    positions = {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    return below(prefix, state(encoders.clip_l(), without=("text_projection.weight",)) | positions)


def open_clip_tensors(prefix: str, model: CLIPTextModelWithProjection) -> Tensors:
    return below(prefix, {name: value.half() for name, value in open_clip(model).items()})


def clip_h(layers: int) -> Any:
    """OpenCLIP's text encoder with its projection; Stable Diffusion 2 reads the last layer but one of 24."""
    config = CLIPTextConfig(
        hidden_size=encoders.CLIP_G,
        intermediate_size=4 * encoders.CLIP_G,
        num_attention_heads=1,
        num_hidden_layers=layers,
        projection_dim=encoders.CLIP_G,
        hidden_act="gelu",
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=49407,
    )
    return refreshed(CLIPTextModelWithProjection(config), 9)


def cut(model: Any, layers: int) -> Any:
    """The first layers of a CLIP, without its projection: as diffusers' folders hold Stable Diffusion's encoders."""
    settings = {**model.config.to_dict(), "num_hidden_layers": layers}
    plain = CLIPTextModel(CLIPTextConfig(**settings))
    known = {name.removeprefix("text_model."): value for name, value in model.state_dict().items()}
    plain.load_state_dict({name: known[name] for name in plain.state_dict()})
    return plain.eval().requires_grad_(False)


def noise(prediction: str = "epsilon") -> Any:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction,
    )
