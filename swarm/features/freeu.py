"""FreeU: a UNet's backbone made stronger and its skip connections' low frequencies weaker (Si et al. 2023, 2309.11497).

Version 1 scales half the backbone's channels by a constant, version 2 by how much happens at each place. As in the
original, it acts where the backbone has 4 and 2 times the first level's channels.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from swarm.features.groups import FREEU_GROUP
from swarm.features.refiner import REFINER_MODEL
from swarm.jobs.stage import Pass, Patch, Patched
from swarm.params.kinds import Decimal, Dropdown, fixed

_PARAMS: dict[str, Any] = {"group": FREEU_GROUP, "flags": ("freeu",), "advanced": True}

FREEU_APPLY_TO = Dropdown(
    name="[FreeU] Apply To",
    description="Which models FreeU changes: the base model, also where it refines, or the one chosen to refine.",
    default="Both",
    values=fixed("Both", "Base", "Refiner"),
    priority=-10.0,
    **_PARAMS,
)
FREEU_VERSION = Dropdown(
    name="[FreeU] Version",
    description="The first version scales evenly, the second by what happens at each place.",
    default="1",
    values=fixed("1", "2"),
    priority=-9.0,
    **_PARAMS,
)
FREEU_BLOCK_ONE = Decimal(
    name="[FreeU] Block One", description="Strength of the deepest backbone features.", default=1.1, min=0, max=10,
    step=0.05, priority=-4.0, **_PARAMS,
)  # fmt: skip
FREEU_BLOCK_TWO = Decimal(
    name="[FreeU] Block Two", description="Strength of the next backbone features.", default=1.2, min=0, max=10,
    step=0.05, priority=-3.0, **_PARAMS,
)  # fmt: skip
FREEU_SKIP_ONE = Decimal(
    name="[FreeU] Skip One", description="What is left of the deepest skip features' low frequencies.", default=0.9,
    min=0, max=10, step=0.05, priority=-2.0, **_PARAMS,
)  # fmt: skip
FREEU_SKIP_TWO = Decimal(
    name="[FreeU] Skip Two", description="What is left of the next skip features' low frequencies.", default=0.2,
    min=0, max=10, step=0.05, priority=-1.0, **_PARAMS,
)  # fmt: skip

_BOTH, _BASE, _REFINER = "Both", "Base", "Refiner"


def _key(of: Pass) -> Hashable:
    """Later walks that go on with the base model have it as it was changed for the first."""
    input = of.input
    loaded_as = _REFINER if of.name != "base" and input.has(REFINER_MODEL) else _BASE
    if input.get(FREEU_APPLY_TO) not in (_BOTH, loaded_as):
        return None
    strengths = (FREEU_BLOCK_ONE, FREEU_BLOCK_TWO, FREEU_SKIP_ONE, FREEU_SKIP_TWO)
    return (int(input.get(FREEU_VERSION)), *(input.get(param) for param in strengths))


def _apply(modules: Patched, key: tuple[int, float, float, float, float]) -> Callable[[], None]:
    """Before each residual block of the way up: its input is backbone and skip, side by side."""
    version, b1, b2, s1, s2 = key
    unet = modules.denoiser
    if not hasattr(unet, "up_blocks"):
        return lambda: None
    base = int(unet.config.block_out_channels[0])
    strengths = {4 * base: (b1, s1), 2 * base: (b2, s2)}
    hooks, backbone = [], int(unet.config.block_out_channels[-1])
    for block in unet.up_blocks:
        for resnet in block.resnets:
            if backbone in strengths:
                hooks.append(resnet.register_forward_pre_hook(_hook(version, backbone, *strengths[backbone])))
            backbone = int(resnet.out_channels)

    def undo() -> None:
        for hook in hooks:
            hook.remove()

    return undo


def _hook(version: int, backbone: int, strength: float, left: float) -> Callable[[Any, Any], Any]:
    def before(_module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        import torch

        x, *rest = arguments
        features, skip = x[:, :backbone].clone(), x[:, backbone:]
        half = backbone // 2
        features[:, :half] *= strength if version == 1 else _uneven(features, strength)
        return (torch.cat([features, dampened(skip, left)], dim=1), *rest)

    return before


def _uneven(features: Any, strength: float) -> Any:
    """1 where least happens, `strength` where most does: (n, 1, h, w)."""
    mean = features.mean(dim=1, keepdim=True)
    low, high = mean.amin(dim=(2, 3), keepdim=True), mean.amax(dim=(2, 3), keepdim=True)
    return (strength - 1.0) * (mean - low) / (high - low).clamp(min=1e-6) + 1.0


def dampened(skip: Any, left: float) -> Any:
    """(n, C, h, w) with its two lowest frequencies in each direction times `left`."""
    import torch

    spectrum = torch.fft.fftshift(torch.fft.fftn(skip.float(), dim=(-2, -1)), dim=(-2, -1))
    row, column = skip.shape[-2] // 2, skip.shape[-1] // 2
    spectrum[..., row - 1 : row + 1, column - 1 : column + 1] *= left
    return torch.fft.ifftn(torch.fft.ifftshift(spectrum, dim=(-2, -1)), dim=(-2, -1)).real.to(skip)


FREEU = Patch(id="freeu", order=10, when=FREEU_APPLY_TO, key=_key, apply=_apply)
