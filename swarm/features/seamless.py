"""Pictures whose opposite edges fit: every convolution of UNet and VAE looks around the corner (swarm-t2i 9.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from swarm.features.groups import SAMPLING_GROUP
from swarm.jobs.stage import Patch, Patched
from swarm.params.kinds import Dropdown, fixed

SEAMLESS_TILEABLE = Dropdown(
    name="Seamless Tileable",
    description="Makes a picture that can be laid beside itself: in both directions, or in one of them. Models with a "
    "UNet only.",
    default="false",
    values=fixed("false", "true", "X-Only", "Y-Only"),
    ignore_if="false",
    group=SAMPLING_GROUP,
    priority=15.0,
    flags=("seamless",),
)


def _apply(modules: Patched, key: str) -> Callable[[], None]:
    """Circular padding along the wanted axes, zeros along the other."""
    from torch.nn import Conv2d

    if not hasattr(modules.denoiser, "up_blocks"):
        return lambda: None
    changed: list[Any] = []
    for network in (modules.denoiser, modules.vae):
        for module in network.modules():
            if isinstance(module, Conv2d) and any(module.padding) and module.padding_mode == "zeros":
                convolution: Any = module
                convolution._conv_forward = _wrapping(module, along_x=key != "Y-Only", along_y=key != "X-Only")
                changed.append(convolution)

    def undo() -> None:
        for module in changed:
            del module._conv_forward

    return undo


def _wrapping(module: Any, *, along_x: bool, along_y: bool) -> Callable[[Any, Any, Any], Any]:
    from torch.nn.functional import conv2d, pad

    high, wide = module.padding

    def forward(x: Any, weight: Any, bias: Any) -> Any:
        x = pad(x, (wide, wide, 0, 0), mode="circular" if along_x else "constant")
        x = pad(x, (0, 0, high, high), mode="circular" if along_y else "constant")
        return conv2d(x, weight, bias, module.stride, 0, module.dilation, module.groups)

    return forward


SEAMLESS = Patch(
    id="seamless",
    order=20,
    when=SEAMLESS_TILEABLE,
    key=lambda of: None if (axes := of.input.get(SEAMLESS_TILEABLE)) == "false" else axes,
    apply=_apply,
)
