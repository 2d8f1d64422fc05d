"""What a LoRA makes of a weight: the arithmetic of its kinds, on the weights as they were before, in float32.

LoRA, LoCon, LoHa and LoKr, with and without core tensors; DoRA of each; GLoRA, OFT and BOFT, which depend on the weight
itself; and plain differences.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from swarm.engine.loras.lora_files import Pieces

_TINY = torch.finfo(torch.float32).eps


def changed(weight: torch.Tensor, pieces: Pieces, strength: float) -> torch.Tensor:
    """A weight (out, in, …) in float32 with a LoRA in it. Raises RuntimeError or KeyError when it does not fit."""
    weight = weight.float()
    on = _beside(pieces, weight.device)
    if "instead" in on:
        return on["instead"].reshape(weight.shape)
    if "oft" in on:
        turned = _butterflied if on["oft"].ndim == 4 else _rotated
        # Turning halfway and then going half the way is how these files are used elsewhere.
        return weight + (turned(weight, on, strength) - weight) * strength
    change = (_of_itself(weight, on) if "a1" in on else delta(on, weight.device)).reshape(weight.shape)
    if "dora" in on:
        change = magnified(weight, change, on["dora"]) - weight
    return weight + change * strength


def change_of(weight: torch.Tensor, pieces: Pieces) -> torch.Tensor:
    """What a LoRA adds to a weight at strength 1, in its shape, float32. Raises RuntimeError or KeyError when it does
    not fit."""
    return changed(weight, pieces, 1.0) - weight.float()


def delta(pieces: Pieces, device: torch.device) -> torch.Tensor:
    """The change of a weight at strength 1, flattened to (out, rest), float32. Raises KeyError for an unknown kind."""
    on = _beside(pieces, device)
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
    return change * _scale(pieces, rank)


def _beside(pieces: Pieces, device: torch.device) -> Pieces:
    """All but the numbers that are read out of tensors, which need not travel."""
    return {name: piece if name == "alpha" else piece.to(device, torch.float32) for name, piece in pieces.items()}


def _scale(pieces: Pieces, rank: int) -> float:
    return float(pieces["alpha"]) / rank if "alpha" in pieces and rank else 1.0


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


def _of_itself(weight: torch.Tensor, on: Pieces) -> torch.Tensor:
    """GLoRA's change: W·A + B, flattened to (out, rest). Older files have each pair of matrices the other way round."""
    a1, a2, b1, b2 = (on[name].flatten(1) for name in ("a1", "a2", "b1", "b2"))
    is_old = on["b2"].shape[1] == on["b1"].shape[0] == on["a1"].shape[0] == on["a2"].shape[1]
    is_new = on["b2"].shape[0] == on["b1"].shape[1] == on["a1"].shape[1] == on["a2"].shape[0]
    square = on["a2"].shape[0] == weight.shape[0] == weight.shape[1]
    if is_old and not (is_new and not square):
        return (b2 @ b1 + weight.flatten(1) @ a2 @ a1) * _scale(on, a1.shape[0])
    through = torch.einsum("oi...,ij->oj...", weight, a1 @ a2).flatten(1)
    return (through + b1 @ b2) * _scale(on, a2.shape[0])


def _turns(blocks: torch.Tensor, alpha: torch.Tensor | None) -> torch.Tensor:
    """Cayley's rotations (…, n, n) of skew parts of `blocks`, which together are at most `alpha` long."""
    skew = blocks - blocks.transpose(-1, -2)
    limit = 0.0 if alpha is None else float(alpha)
    if limit > 0:
        skew = skew * (limit / (skew.norm() + 1e-8)).clamp(max=1.0)
    same = torch.eye(blocks.shape[-1], device=blocks.device)
    return (same + skew) @ torch.linalg.inv(same - skew)


def _rotated(weight: torch.Tensor, on: Pieces, strength: float) -> torch.Tensor:
    """OFT: blocks of outputs, each turned `strength` of the way. `oft`: (blocks, n, n)."""
    blocks = on["oft"]
    turns = _turns(blocks, on.get("alpha")) - torch.eye(blocks.shape[-1], device=blocks.device)
    parts = weight.unflatten(0, blocks.shape[:2])
    moved = torch.einsum("knm,kn...->km...", turns * strength, parts).flatten(0, 1)
    if "dora" not in on:
        return weight + moved
    return magnified(weight, moved, on["dora"])


def _butterflied(weight: torch.Tensor, on: Pieces, strength: float) -> torch.Tensor:
    """BOFT: rotations of outputs that lie ever further apart, one after the other. `oft`: (stages, blocks, n, n)."""
    blocks = on["oft"]
    size = blocks.shape[-1]
    turns = _turns(blocks, on.get("alpha"))
    turns = turns * strength + torch.eye(size, device=blocks.device) * (1.0 - strength)
    made = weight
    for number, turn in enumerate(turns):
        apart = 2**number * (size // 2)
        made = made.unflatten(0, (-1, 2, apart)).transpose(1, 2).flatten(0, 2).unflatten(0, (-1, size))
        made = torch.einsum("bij,bj...->bi...", turn, made).flatten(0, 1)
        made = made.unflatten(0, (-1, apart, 2)).transpose(1, 2).flatten(0, 2)
    if "rescale" in on:
        made = made * on["rescale"]
    return magnified(weight, made - weight, on["dora"]) if "dora" in on else made


def magnified(weight: torch.Tensor, change: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """A changed weight (out, in, …) brought to DoRA's lengths: those of its columns; or, when there is one for each
    output, by what its rows had before the change, as these files are used elsewhere."""
    whole = weight + change
    if magnitude.shape[0] == weight.shape[0]:
        lengths = weight.flatten(1).norm(dim=1).reshape(-1, *[1] * (weight.ndim - 1))
    else:
        lengths = whole.transpose(0, 1).flatten(1).norm(dim=1).reshape(1, -1, *[1] * (weight.ndim - 2))
    wanted = magnitude.to(weight)
    # In files of later trainers the lengths are a plain list.
    wanted = wanted.reshape(lengths.shape) if wanted.numel() == lengths.numel() else wanted
    return whole * (wanted / (lengths + _TINY))


def can_be_cut(pieces: Pieces) -> bool:
    """Whether each row of the changed weight depends on that row alone."""
    return not {"oft", "a1"} & set(pieces) and ("dora" not in pieces or pieces["dora"].shape[0] > 1)


def cut(pieces: Pieces, sizes: Sequence[int]) -> list[Pieces]:
    """A change of one fused layer as changes of the layers it consists of, `sizes` outputs each, in order."""
    lengths = _cut_lengths(pieces, sizes)
    if "instead" in pieces:
        return [{"instead": part} for part in pieces["instead"].split(list(sizes))]
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
    return [{"dora": part} for part in lengths.split(list(sizes))]
