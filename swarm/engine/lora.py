"""LoRAs: files in kohya's and diffusers' spellings, put into a loaded model's weights and taken out again exactly.

The weights a LoRA changes are kept as they were, so taking it out restores every bit. Never fused twice: each change
starts from the kept originals. Understands LoRA, LoCon, LoHa and LoKr, with and without core tensors, and DoRA.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from swarm.base.errors import BadInput
from swarm.engine.checkpoint import Checkpoint
from swarm.engine.components import Components
from swarm.jobs.job import LoraUse, ModelFile

logger = logging.getLogger(__name__)

_SUFFIXES = (
    (".lora_down.weight", "down"), (".lora_up.weight", "up"), (".lora.down.weight", "down"), (".lora.up.weight", "up"),
    (".lora_A.weight", "down"), (".lora_B.weight", "up"), (".lora_A.default.weight", "down"),
    (".lora_B.default.weight", "up"), (".alpha", "alpha"), (".hada_w1_a", "hada_w1_a"), (".hada_w1_b", "hada_w1_b"),
    (".hada_w2_a", "hada_w2_a"), (".hada_w2_b", "hada_w2_b"), (".lokr_w1", "lokr_w1"), (".lokr_w2", "lokr_w2"),
    (".lokr_w1_a", "lokr_w1_a"), (".lokr_w1_b", "lokr_w1_b"), (".lokr_w2_a", "lokr_w2_a"), (".lokr_w2_b", "lokr_w2_b"),
    (".lora_mid.weight", "mid"), (".hada_t1", "hada_t1"), (".hada_t2", "hada_t2"), (".lokr_t2", "lokr_t2"),
    (".dora_scale", "dora"), (".lora_magnitude_vector.weight", "dora"), (".lora_magnitude_vector", "dora"),
)  # fmt: skip
_HOMES = (
    ("lora_unet_", "unet"), ("unet.", "unet"), ("diffusion_model.", "unet"), ("lora_te1_", "te0"), ("lora_te2_", "te1"),
    ("lora_te3_", "te2"), ("lora_te_", "te0"), ("text_encoder_3.", "te2"), ("text_encoder_2.", "te1"),
    ("text_encoder.", "te0"), ("lora_transformer_", "unet"), ("lycoris_", "unet"), ("transformer.", "unet"),
    ("base_model.model.", "unet"), ("model.diffusion_model.", "unet"),
)  # fmt: skip
_BARE = (
    *("transformer_blocks.", "single_transformer_blocks.", "double_blocks.", "single_blocks."),
    *("layers.", "noise_refiner.", "context_refiner."),
)
"""How modules of a denoiser begin in files that write nothing before them."""
_XLABS = re.compile(r"(double_blocks\.\d+)\.processor\.(qkv|proj)_lora([12])\.(down|up)\.weight")
"""XLabs' names of Flux LoRAs: 1 is the picture's side of a block, 2 the text's."""
Pieces = dict[str, torch.Tensor]
LoraKey = tuple[tuple[Path, str, float, float], ...]


class Patched:
    """What is in a model's weights now. `uses`: the key of the LoRAs that are in, empty for none."""

    def __init__(self, components: Components) -> None:
        self.uses: LoraKey = ()
        self._components = components
        self._targets = {name: module.weight for name, module in lora_targets(components).items()}
        self._originals: dict[str, torch.Tensor] = {}

    def put(self, uses: Sequence[LoraUse], key: LoraKey) -> None:
        """Exactly these LoRAs, and no others. Raises BadInput for files that do not fit; then none is in."""
        self._restore()
        try:
            for use in uses:
                self._add(use)
        except BadInput:
            self._restore()
            raise
        self.uses = key
        self._components.text.state = key

    def _restore(self) -> None:
        for name, original in self._originals.items():
            self._targets[name].copy_(original)
        self._originals.clear()
        self.uses = ()
        self._components.text.state = ()

    def _add(self, use: LoraUse) -> None:
        for name, pieces in fitting(self._components, use.file).items():
            strength = use.weight if name.startswith("unet_") else use.text_weight
            if strength:
                self._change(name, pieces, strength, use.file.name)

    def _change(self, name: str, pieces: Pieces, strength: float, file: str) -> None:
        target = self._targets[name]
        if name not in self._originals:
            self._originals[name] = target.clone()
        try:
            target.copy_(target.float() + change_of(target, pieces) * strength)
        except (RuntimeError, KeyError):
            raise other_shape(file, self._components, name) from None


def fitting(components: Components, file: ModelFile) -> dict[str, Pieces]:
    """What a LoRA changes of a model, by the names of `lora_targets`. Raises BadInput when that is nothing."""
    targets = lora_targets(components)
    changes = _translated(read_lora(file.path), file.name, components, targets)
    found = {name: pieces for name, pieces in changes.items() if name in targets}
    if not found:
        raise BadInput(f"The LoRA '{file.name}' does not fit the model '{components.file.name}'.")
    if len(found) < len(changes):
        logger.warning("LoRA %s: %d of %d parts fit the model.", file.name, len(found), len(changes))
    return found


def other_shape(file: str, components: Components, name: str) -> BadInput:
    """What to answer when a change does not fit the weight that it is for."""
    return BadInput(f"The LoRA '{file}' does not fit the model '{components.file.name}': {name} has another shape.")


def _translated(
    changes: Mapping[str, Pieces], file: str, components: Components, targets: Mapping[str, Any]
) -> dict[str, Pieces]:
    """The same changes by the names of the modules that are there, cut where one layer is several modules here."""
    denoiser, keys = components.denoiser, components.adapter.lora_keys
    found: dict[str, Pieces] = {}
    for name, pieces in changes.items():
        if not name.startswith("unet_"):
            found[name] = pieces
            continue
        homes = [f"unet_{key}" for key in keys(name.removeprefix("unet_"), denoiser)]
        if len(homes) == 1:
            found[homes[0]] = pieces
            continue
        sizes = [targets[home].weight.shape[0] if home in targets else 0 for home in homes]
        try:
            found |= dict(zip(homes, cut(pieces, sizes), strict=True))
        except (RuntimeError, KeyError):
            raise BadInput(
                f"The LoRA '{file}' does not fit the model '{components.file.name}': {name} cannot be cut."
            ) from None
    return found


def change_of(weight: torch.Tensor, pieces: Pieces) -> torch.Tensor:
    """What a LoRA adds to a weight at strength 1, in its shape, float32. Raises RuntimeError or KeyError when it does
    not fit."""
    change = delta(pieces, weight.device).reshape(weight.shape)
    if "dora" not in pieces:
        return change
    return magnified(weight.float() + change, pieces["dora"]) - weight.float()


def delta(pieces: Pieces, device: torch.device) -> torch.Tensor:
    """The change of a weight at strength 1, flattened to (out, rest), float32. Raises KeyError for an unknown kind."""
    on = {name: piece.to(device=device, dtype=torch.float32) for name, piece in pieces.items()}
    if "whole" in on:
        return on["whole"]
    if "down" in on:
        rank = on["down"].shape[0]
        change = _product(on["up"], on["down"], on.get("mid"))
    elif "hada_w1_a" in on:
        rank = on["hada_w1_b"].shape[0]
        first, second = (_hada(on[f"hada_w{n}_a"], on[f"hada_w{n}_b"], on.get(f"hada_t{n}")) for n in (1, 2))
        change = first * second
    else:
        rank = 0
        for part in ("lokr_w1", "lokr_w2"):
            if part not in on:
                rank = on[part + "_b"].shape[0]
                core = on.get("lokr_t2") if part == "lokr_w2" else None
                on[part] = _kron_part(on[part + "_a"], on[part + "_b"], core)
        first, second = on["lokr_w1"], on["lokr_w2"]
        spread = first.reshape(*first.shape, *[1] * (second.ndim - first.ndim))
        change = torch.kron(spread.contiguous(), second.contiguous()).flatten(1)
    scale = float(pieces["alpha"]) / rank if "alpha" in pieces and rank else 1.0
    return change * scale


def _product(up: torch.Tensor, down: torch.Tensor, mid: torch.Tensor | None) -> torch.Tensor:
    """up · down, through the middle convolution (rank, rank, kh, kw) where there is one."""
    if mid is None:
        return up.flatten(1) @ down.flatten(1)
    return torch.einsum("or,rskl,si->oikl", up.flatten(1), mid, down.flatten(1)).flatten(1)


def _hada(left: torch.Tensor, right: torch.Tensor, core: torch.Tensor | None) -> torch.Tensor:
    """One factor of a Hadamard product; with a core (rank, rank, kh, kw) its matrices are (rank, out), (rank, in)."""
    if core is None:
        return left @ right
    return torch.einsum("rskl,ro,si->oikl", core, left, right).flatten(1)


def _kron_part(left: torch.Tensor, right: torch.Tensor, core: torch.Tensor | None) -> torch.Tensor:
    """One factor of a Kronecker product; with a core its matrices are (rank, out) and (rank, in)."""
    if core is not None:
        return torch.einsum("rskl,ro,si->oikl", core, left, right)
    return (left @ right.flatten(1)).reshape(left.shape[0], *right.shape[1:])


def magnified(weight: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """A weight (out, in, …) scaled to DoRA's lengths: those of its rows, or of its columns when there is one for each
    input and not for each output."""
    wanted = magnitude.to(weight).flatten()
    flat = weight.flatten(1)
    by_row = wanted.numel() == weight.shape[0] and not (magnitude.ndim > 1 and magnitude.shape[0] == 1)
    if by_row:
        lengths = flat.norm(dim=1).clamp(min=1e-12)
        return (flat * (wanted / lengths)[:, None]).reshape(weight.shape)
    columns = weight.transpose(0, 1)
    lengths = columns.flatten(1).norm(dim=1).clamp(min=1e-12)
    shape = -1, *[1] * (columns.ndim - 1)
    return (columns * (wanted / lengths).reshape(shape)).transpose(0, 1)


def cut(pieces: Pieces, sizes: Sequence[int]) -> list[Pieces]:
    """A change of one fused layer as changes of the layers it consists of, `sizes` outputs each, in order."""
    lengths = _cut_lengths(pieces, sizes)
    if "up" not in pieces or "mid" in pieces:
        whole = delta(pieces, pieces[next(iter(pieces))].device)
        return [{"whole": part, **own} for part, own in zip(whole.split(list(sizes)), lengths, strict=True)]
    parts = pieces["up"].split(list(sizes))
    return [{**pieces, "up": up, **own} for up, own in zip(parts, lengths, strict=True)]


def _cut_lengths(pieces: Pieces, sizes: Sequence[int]) -> list[Pieces]:
    """DoRA's lengths for each layer: those of the rows are shared out, those of the columns hold for the whole only."""
    lengths = pieces.get("dora")
    if lengths is None:
        return [{} for _ in sizes]
    if lengths.numel() != sum(sizes):
        raise KeyError("dora")
    return [{"dora": part} for part in lengths.flatten().split(list(sizes))]


def read_lora(path: Path) -> dict[str, Pieces]:
    """A LoRA's tensors by the weight they change (`unet_down_blocks_0_…`, `te0_text_model_…`), then by their part.

    Names are the file's own, dots as underscores, behind `unet_` or the number of the text encoder. Raises BadInput.
    """
    checkpoint = Checkpoint(path)
    changes: dict[str, Pieces] = {}
    for name in checkpoint.shapes:
        found = _part(name)
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


def lora_targets(components: Components) -> Mapping[str, Any]:
    """Every layer whose weight a LoRA may change, by home and module name with underscores."""
    found: dict[str, Any] = {}
    for name, module in components.denoiser.named_modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
            found["unet_" + name.replace(".", "_")] = module
    for number, encoder in enumerate(components.text_modules):
        for name, module in encoder.named_modules():
            if isinstance(module, torch.nn.Linear):
                plain = name.startswith(("text_model.", "encoder.block.")) or "projection" in name
                spelled = name if plain else f"text_model.{name}"
                found[f"te{number}_" + spelled.replace(".", "_")] = module
    return found
