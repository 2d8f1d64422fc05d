"""Small random files that change a tiny model: LoRAs of every kind, ControlNets, adapters. Both programs read them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import ControlNetModel, ControlNetUnionModel
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from swarm.engine.control.image_words import cross_attention
from swarm.media.image import Picture
from tests.engine.test_controlnet import loud, original
from tests.parity.recorded import tiny
from tests.support.tiny_models import tiny_sd, tiny_sdxl

Tensors = dict[str, torch.Tensor]
_BLOCK = "down_blocks_1_attentions_0_transformer_blocks_0_"
_QUERY, _VALUE, _OUT = _BLOCK + "attn1_to_q", _BLOCK + "attn2_to_v", _BLOCK + "attn2_to_out_0"
_CONVOLUTION, _NORM = "down_blocks_1_resnets_0_conv1", "down_blocks_1_resnets_0_norm2"
_TEXT = "text_model_encoder_layers_{}_self_attn_v_proj"


class Draw:
    """Normal numbers, one after the other."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, *shape: int, loud: float = 1.0) -> torch.Tensor:
        return torch.randn(shape, generator=self._generator) * loud


def _low_rank(draw: Draw, name: str, out: int, into: int, ends: tuple[str, str], loud: float = 0.25) -> Tensors:
    return {f"{name}{ends[0]}": draw(4, into, loud=loud), f"{name}{ends[1]}": draw(out, 4, loud=loud)}


KOHYA, PEFT = (".lora_down.weight", ".lora_up.weight"), (".lora_A.weight", ".lora_B.weight")


def _kohya(draw: Draw) -> Tensors:
    found: Tensors = {}
    for name, out, into in ((_QUERY, 64, 64), (_VALUE, 64, 32)):
        found |= _low_rank(draw, f"lora_unet_{name}", out, into, KOHYA)
        found[f"lora_unet_{name}.alpha"] = torch.tensor(2.0)
    return found | _low_rank(draw, "lora_te_" + _TEXT.format(0), 32, 32, KOHYA, 0.6)


def _original_names(draw: Draw) -> Tensors:
    name = "lora_unet_output_blocks_5_1_transformer_blocks_0_attn2_to_v"
    found = _low_rank(draw, name, 64, 32, KOHYA, 0.5)
    name = "lora_unet_middle_block_0_emb_layers_1"
    return found | _low_rank(draw, name, 64, 128, KOHYA, 0.5) | {f"{name}.alpha": torch.tensor(4.0)}


def _peft(draw: Draw) -> Tensors:
    block = "down_blocks.1.attentions.0.transformer_blocks.0."
    found = _low_rank(draw, f"unet.{block}attn2.processor.to_v", 64, 32, PEFT, 0.5)
    found |= _low_rank(draw, f"unet.{block}attn2.processor.to_out", 64, 64, PEFT, 0.5)
    return found | _low_rank(draw, "text_encoder.text_model.encoder.layers.1.mlp.fc1", 64, 32, PEFT, 0.5)


def _convolutions(draw: Draw) -> Tensors:
    name, other = f"lora_unet_{_CONVOLUTION}", "lora_unet_down_blocks_2_resnets_0_conv2"
    found = {f"{name}.lora_down.weight": draw(4, 32, 1, 1), f"{name}.lora_mid.weight": draw(4, 4, 3, 3, loud=0.3)}
    found |= {f"{name}.lora_up.weight": draw(64, 4, 1, 1, loud=0.3), f"{name}.alpha": torch.tensor(3.0)}
    found |= {f"{other}.lora_down.weight": draw(4, 64, 3, 3, loud=0.3), f"{other}.lora_up.weight": draw(64, 4, 1, 1)}
    return found


def _hadamard(draw: Draw) -> Tensors:
    name, other = f"lora_unet_{_VALUE}", f"lora_unet_{_CONVOLUTION}"
    found = {f"{name}.alpha": torch.tensor(2.0)}
    for number in (1, 2):
        found |= {f"{name}.hada_w{number}_a": draw(64, 4), f"{name}.hada_w{number}_b": draw(4, 32, loud=0.4)}
        found |= {f"{other}.hada_w{number}_a": draw(4, 64), f"{other}.hada_w{number}_b": draw(4, 32, loud=0.3)}
        found[f"{other}.hada_t{number}"] = draw(4, 4, 3, 3, loud=0.3)
    return found


def _kronecker(draw: Draw) -> Tensors:
    name, other, third = f"lora_unet_{_VALUE}", f"lora_unet_{_CONVOLUTION}", f"lora_unet_{_OUT}"
    found = {f"{name}.lokr_w1": draw(8, 4), f"{name}.lokr_w2_a": draw(8, 2), f"{name}.lokr_w2_b": draw(2, 8, loud=0.3)}
    found |= {f"{name}.alpha": torch.tensor(1.0), f"{other}.lokr_w1": draw(8, 4, loud=0.3)}
    found |= {f"{other}.lokr_w2_a": draw(2, 8), f"{other}.lokr_w2_b": draw(2, 8), f"{other}.lokr_t2": draw(2, 2, 3, 3)}
    return found | {f"{third}.lokr_w1": draw(8, 8, loud=0.3), f"{third}.lokr_w2": draw(8, 8, loud=0.3)}


def _dora(draw: Draw, *, by_outputs: bool) -> Tensors:
    found: Tensors = {}
    for name, out, into in ((_QUERY, 64, 64), (_VALUE, 64, 32)):
        found |= _low_rank(draw, f"lora_unet_{name}", out, into, KOHYA, 0.5)
        shape = (out, 1) if by_outputs else (1, into)
        found[f"lora_unet_{name}.dora_scale"] = draw(*shape).abs() + 1.0
    name, shape4 = f"lora_unet_{_CONVOLUTION}", (64, 1, 1, 1) if by_outputs else (1, 32, 1, 1)
    found |= {f"{name}.lora_down.weight": draw(4, 32, 3, 3, loud=0.3), f"{name}.lora_up.weight": draw(64, 4, 1, 1)}
    return found | {f"{name}.dora_scale": draw(*shape4).abs() + 1.0, f"{name}.alpha": torch.tensor(2.0)}


def _differences(draw: Draw) -> Tensors:
    name = f"lora_unet_{_CONVOLUTION}"
    found = {f"{name}.diff": draw(64, 32, 3, 3, loud=0.1), f"{name}.diff_b": draw(64, loud=0.5)}
    found |= {f"lora_unet_{_NORM}.w_norm": draw(64, loud=0.5), f"lora_unet_{_NORM}.b_norm": draw(64, loud=0.5)}
    return found | {f"lora_unet_{_VALUE}.diff": draw(64, 32, loud=0.5)}


def _glora(draw: Draw) -> Tensors:
    name = f"lora_unet_{_VALUE}"
    found = {f"{name}.a1.weight": draw(32, 4), f"{name}.a2.weight": draw(4, 32, loud=0.2)}
    found |= {f"{name}.b1.weight": draw(64, 4), f"{name}.b2.weight": draw(4, 32, loud=0.3)}
    return found | {f"{name}.alpha": torch.tensor(2.0)}


def _rotations(draw: Draw) -> Tensors:
    found = {f"lora_unet_{_VALUE}.oft_blocks": draw(8, 8, 8), f"lora_unet_{_VALUE}.alpha": torch.tensor(6.0)}
    return found | {f"lora_unet_{_CONVOLUTION}.oft_blocks": draw(4, 16, 16, loud=0.2)}


def _butterfly(draw: Draw) -> Tensors:
    found = {f"lora_unet_{_VALUE}.oft_blocks": draw(3, 8, 8, 8), f"lora_unet_{_VALUE}.alpha": torch.tensor(0.0)}
    return found | {f"lora_unet_{_VALUE}.rescale": draw(64, 1).abs() + 0.5}


def _two_encoders(draw: Draw) -> Tensors:
    found = _low_rank(draw, "lora_te1_" + _TEXT.format(0), 32, 32, KOHYA, 0.6)
    found |= _low_rank(draw, "lora_te2_" + _TEXT.format(1), 64, 64, KOHYA, 0.6)
    name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_v"
    return found | _low_rank(draw, name, 64, 96, KOHYA, 0.4)


LORAS = {
    "kohya": _kohya,
    "original names": _original_names,
    "peft": _peft,
    "convolutions": _convolutions,
    "hadamard": _hadamard,
    "kronecker": _kronecker,
    "dora by inputs": lambda draw: _dora(draw, by_outputs=False),
    "dora by outputs": lambda draw: _dora(draw, by_outputs=True),
    "differences": _differences,
    "glora": _glora,
    "rotations": _rotations,
    "butterfly": _butterfly,
    "two encoders": _two_encoders,
}


def write_lora(folder: Path, kind: str) -> Path:
    """A LoRA file for the tiny SD (`two encoders`: for the tiny SDXL)."""
    path = folder / f"lora {kind}.safetensors"
    tensors = LORAS[kind](Draw(list(LORAS).index(kind)))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def write_control(folder: Path, kind: str) -> Path:
    """A ControlNet for the tiny SD (in original names) or SDXL (`xl`, `union`: in diffusers' names)."""
    path = folder / f"control {kind}.safetensors"
    if not path.exists():
        net = _control(kind)
        tensors = original(net) if kind in ("canny", "shuffled_shuffle") else net.state_dict()
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def _control(kind: str) -> Any:
    unet = tiny(tiny_sdxl if kind in ("xl", "union", "union untold") else tiny_sd).unet
    torch.manual_seed(len(kind))
    if not kind.startswith("union"):
        return loud(ControlNetModel.from_unet(unet))
    named = ControlNetUnionModel.from_unet(unet).config.items()
    config = {name: value for name, value in named if not name.startswith("_")}
    small = {"num_trans_channel": 32, "num_trans_head": 1, "num_proj_channel": 32}
    net = ControlNetUnionModel.from_config({**config, **small})
    with torch.no_grad():
        for name, weight in net.named_parameters():
            weight.copy_(torch.randn_like(weight) * (0.02 if "transformer_layes" in name else 0.06))
    return net.eval()


def guide(seed: int = 5) -> Any:
    """A picture of 64×64 as an array of bytes, to guide ControlNets and to be looked at."""
    return np.repeat(np.repeat(np.random.default_rng(seed).integers(0, 255, (16, 16, 3), np.uint8), 4, 0), 4, 1)


def as_png(levels: Any) -> Picture:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


def write_eyes(folder: Path) -> Path:
    """CLIP's image encoder in small, for the tiny SDXL's second text encoder."""
    path = folder / "eyes.safetensors"
    if not path.exists():
        torch.manual_seed(3)
        model = CLIPVisionModelWithProjection(CLIPVisionConfig(**EYES))
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return path


EYES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 16, "image_size": 32,
    "patch_size": 8, "projection_dim": 64, "hidden_act": "quick_gelu",
}  # fmt: skip


def write_adapter(folder: Path, kind: str) -> Path:
    """An IP-Adapter for the tiny SD: `summary` reads the encoder's summary, `places` its last but one layer."""
    path = folder / f"adapter {kind}.safetensors"
    draw, width = Draw(len(kind)), 32
    if kind == "summary":
        tensors = {"image_proj.proj.weight": draw(4 * width, 64), "image_proj.proj.bias": draw(4 * width)}
        tensors |= {"image_proj.norm.weight": draw(width), "image_proj.norm.bias": draw(width)}
    else:
        tensors = {"image_proj.proj.0.weight": draw(32, 32), "image_proj.proj.0.bias": draw(32)}
        tensors |= {"image_proj.proj.2.weight": draw(width, 32), "image_proj.proj.2.bias": draw(width)}
        tensors |= {"image_proj.proj.3.weight": draw(width), "image_proj.proj.3.bias": draw(width)}
    for number, layer in enumerate(cross_attention(tiny(tiny_sd).unet)):
        for which in ("to_k_ip", "to_v_ip"):
            tensors[f"ip_adapter.{2 * number + 1}.{which}.weight"] = draw(layer.to_q.out_features, width)
    save_file(tensors, path)
    return path
