"""Files of LoRAs: their tensors by the module they change, in every spelling in use."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from swarm.engine.files.checkpoint import Checkpoint

_SUFFIXES = (
    (".lora_down.weight", "down"), (".lora_up.weight", "up"), (".lora.down.weight", "down"), (".lora.up.weight", "up"),
    (".lora_A.weight", "down"), (".lora_B.weight", "up"), (".lora_A.default.weight", "down"),
    (".lora_B.default.weight", "up"), (".lora_A", "down"), (".lora_B", "up"),
    (".lora_linear_layer.down.weight", "down"), (".lora_linear_layer.up.weight", "up"), (".alpha", "alpha"),
    (".hada_w1_a", "hada_w1_a"), (".hada_w1_b", "hada_w1_b"), (".hada_w2_a", "hada_w2_a"), (".hada_w2_b", "hada_w2_b"),
    (".lokr_w1", "lokr_w1"), (".lokr_w2", "lokr_w2"), (".lokr_w1_a", "lokr_w1_a"), (".lokr_w1_b", "lokr_w1_b"),
    (".lokr_w2_a", "lokr_w2_a"), (".lokr_w2_b", "lokr_w2_b"), (".lora_mid.weight", "mid"), (".hada_t1", "hada_t1"),
    (".hada_t2", "hada_t2"), (".lokr_t2", "lokr_t2"), (".dora_scale", "dora"),
    (".lora_magnitude_vector.weight", "dora"), (".lora_magnitude_vector", "dora"), (".a1.weight", "a1"),
    (".a2.weight", "a2"), (".b1.weight", "b1"), (".b2.weight", "b2"), (".oft_blocks", "oft"), (".rescale", "rescale"),
    (".w_norm", "whole"), (".b_norm", "bias"), (".diff_b", "bias"), (".diff", "whole"), (".set_weight", "instead"),
    (".lora_B.bias", "bias"),
)  # fmt: skip
_HOMES = (
    ("lora_unet_", "unet"), ("unet.", "unet"), ("diffusion_model.", "unet"), ("lora_te1_", "te0"), ("lora_te2_", "te1"),
    ("lora_te3_", "te2"), ("lora_te_", "te0"), ("text_encoder_3.", "te2"), ("text_encoder_2.", "te1"),
    ("text_encoder.", "te0"), ("text_encoders.clip_l.transformer.", "te0"),
    ("text_encoders.clip_g.transformer.", "te1"), ("lora_transformer_", "unet"), ("lycoris_", "unet"),
    ("transformer.", "unet"), ("base_model.model.", "unet"), ("model.diffusion_model.", "unet"),
)  # fmt: skip
_BARE = (
    *("transformer_blocks.", "single_transformer_blocks.", "double_blocks.", "single_blocks."),
    *("layers.", "noise_refiner.", "context_refiner."),
)
"""How modules of a denoiser begin in files that write nothing before them."""
_XLABS = re.compile(r"(double_blocks\.\d+)\.processor\.(qkv|proj)_lora([12])\.(down|up)\.weight")
"""XLabs' names of Flux LoRAs: 1 is the picture's side of a block, 2 the text's."""
_TOOL = "img_in.lora_A.weight"
"""In Black Forest Labs' own LoRAs for Flux.1, which write nothing before their names, and norms as they are to be."""
Pieces = dict[str, torch.Tensor]


def read_lora(path: Path) -> dict[str, Pieces]:
    """A LoRA's tensors by the module they change (`unet_down_blocks_0_…`, `te0_text_model_…`), then by their part.

    Names are the file's own, dots as underscores, behind `unet_` or the number of the text encoder. Raises BadInput.
    """
    checkpoint = Checkpoint(path)
    changes: dict[str, Pieces] = {}
    is_tool = _TOOL in checkpoint.shapes
    for name in checkpoint.shapes:
        spelled = f"diffusion_model.{name.replace('_norm.scale', '_norm.set_weight')}" if is_tool else name
        found = _part(spelled)
        if found is None:
            continue
        home, module, part = found
        changes.setdefault(f"{home}_{module}", {})[part] = checkpoint.tensor(name)
    return changes


def _part(name: str) -> tuple[str, str, str] | None:
    """(home, module with underscores, part) of a tensor's name; None for what is no part of a LoRA."""
    if match := _XLABS.fullmatch(name):
        side = "img" if match[3] == "1" else "txt"
        name = f"diffusion_model.{match[1]}.{side}_attn.{match[2]}.lora_{match[4]}.weight"
    spelled = name.replace(".processor.", ".").replace("_lora.down.", ".lora.down.").replace("_lora.up.", ".lora.up.")
    spelled = spelled.replace(".to_out.lora", ".to_out.0.lora")
    for suffix, part in _SUFFIXES:
        if spelled.endswith(suffix):
            body = spelled[: -len(suffix)]
            for prefix, home in _HOMES:
                if body.startswith(prefix):
                    return home, body[len(prefix) :].replace(".", "_"), part
            return ("unet", body.replace(".", "_"), part) if body.startswith(_BARE) else None
    return None
