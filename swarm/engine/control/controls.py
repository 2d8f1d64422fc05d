"""ControlNets beside a UNet: read in every layout in use, kept, and asked for what they add to a call's rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from diffusers import ControlNetModel, ControlNetUnionModel, T2IAdapter

from swarm.base.errors import BadInput
from swarm.engine.attending.direct import call_directly
from swarm.engine.components import Row
from swarm.engine.control.control_layouts import UNION_MARKER, net_config, old_name, wrong_family
from swarm.engine.control.control_loras import check_control_lora, is_control_lora, load_control_lora
from swarm.engine.control.picture_adapters import (
    PictureAdapter,
    check_picture_adapter,
    is_picture_adapter,
    load_picture_adapter,
)
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import Shapes
from swarm.engine.loader import Named, built, fill, read_json, refuse_gaps, settle
from swarm.engine.once import Copies, Numbers, let_go
from swarm.engine.words.encoders import from_folder
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Control

KEPT = 3
"""ControlNets that stay loaded beside one model."""
UNION_MODES = (
    "openpose",
    "depth",
    "hed/pidi/scribble/ted",
    "canny/lineart/anime_lineart/mlsd",
    "normal",
    "segment",
    "tile",
    "repaint",
)
"""What union nets can be shown, in the order they number it."""
_OLD_PREFIXES = ("control_model.", "")
_OLD_MARKER, _NEW_MARKER = "zero_convs.0.0.weight", "controlnet_down_blocks.0.weight"
_AVERAGED = ("_shuffle", "_shuffle_fp16")
"""Ends of the names of nets that say the same at every place: what they say there on average."""
_OTHER_KINDS = (
    ("lllite_unet", "ControlNet-LLLite"),
    ("style_embedding", "T2I style adapter"),
    ("controlnet_blocks.", "ControlNet for transformer models"),
)


class KeptNets:
    """The ControlNets of one loaded model, on the device; the latest stay."""

    def __init__(self, load: Callable[[ModelFile], Any]) -> None:
        self._load = load
        self._nets: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def net(self, file: ModelFile) -> Any:
        """A ControlNet; loaded when it is asked for the first time. Raises BadInput."""
        key = (file.path, file.stamp)
        net = self._nets.get(key)
        if net is None:
            net = self._nets[key] = self._load(file)
            while len(self._nets) > KEPT:
                self._nets.popitem(last=False)
        self._nets.move_to_end(key)
        return net

    def let_go(self) -> None:
        """Take them off the device, with what they keep there; they are loaded anew when they are asked for again."""
        self._nets.clear()
        let_go(self)


class Controls(KeptNets):
    """The ControlNets of one loaded UNet."""

    def __init__(self, unet: Any, device: Device) -> None:
        super().__init__(lambda file: load_control(file, unet, device))
        self._numbers, self._hints = Numbers(device), Copies(device)

    def added(
        self, rows: Sequence[Row], x: torch.Tensor, times: torch.Tensor, tokens: torch.Tensor, told: dict[str, Any]
    ) -> dict[str, Any]:
        """What the UNet is to be called with besides. `rows` have the same nets in the same order; `x`: (n, C, h, w)
        without channels beside it. Several nets add up. Empty when the rows have none."""
        downs: list[torch.Tensor] = []
        middle: Any = None
        levels: list[torch.Tensor] = []
        for chain in zip(*(row.controls for row in rows), strict=True):
            net = self.net(chain[0].file)
            if isinstance(net, PictureAdapter):
                own = net.levels(chain)
                levels = own if not levels else [one + other for one, other in zip(levels, own, strict=True)]
                continue
            strengths = self._numbers(one.strength for one in chain).to(x)[:, None, None, None]
            own, deepest = self._said(net, chain, x, times, tokens, told)
            own = [each * strengths for each in own]
            downs = own if middle is None else [one + other for one, other in zip(downs, own, strict=True)]
            middle = deepest * strengths if middle is None else middle + deepest * strengths
        more: dict[str, Any] = {"down_intrablock_additional_residuals": levels} if levels else {}
        if middle is not None:
            more |= {"down_block_additional_residuals": tuple(downs), "mid_block_additional_residual": middle}
        return more

    def _said(
        self,
        net: Any,
        chain: Sequence[Control],
        x: torch.Tensor,
        times: torch.Tensor,
        tokens: torch.Tensor,
        told: dict[str, Any],
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """One net's residuals at full strength."""
        hints = torch.cat([self._hints(one.hint) for one in chain]).to(x)
        shared = {"encoder_hidden_states": tokens, "added_cond_kwargs": told, "return_dict": False}
        if isinstance(net, ControlNetUnionModel):
            kinds = torch.zeros(len(x), int(net.config.num_control_type), device=x.device, dtype=x.dtype)
            number = 0
            if chain[0].mode is not None:
                number = _mode_number(chain[0].mode, chain[0].file, net)
                kinds[:, number] = 1.0
            with told_nothing(net) if chain[0].mode is None else nullcontext():
                downs, middle = net(
                    x, times, controlnet_cond=[hints], control_type=kinds, control_type_idx=[number], **shared
                )
        else:
            downs, middle = net(x, times, controlnet_cond=hints, **shared)
        if chain[0].file.path.stem.endswith(_AVERAGED):
            downs, middle = [_averaged(each) for each in downs], _averaged(middle)
        return list(downs), middle


def _averaged(said: torch.Tensor) -> torch.Tensor:
    return said.mean(dim=(2, 3), keepdim=True).expand_as(said)


def _mode_number(mode: str, file: ModelFile, net: Any) -> int:
    number = UNION_MODES.index(mode)
    if number >= net.config.num_control_type:
        raise BadInput(f"The ControlNet '{file.name}' does not know the union type '{mode}'.")
    return number


@contextmanager
def told_nothing(net: ControlNetUnionModel) -> Iterator[None]:
    """While it is entered, a union net sees a picture without being told what it shows."""
    hook = net.spatial_ch_projs.register_forward_hook(lambda _module, _arguments, said: said * 0.0)
    try:
        yield
    finally:
        hook.remove()


def look_at_hints_alone(net: ControlNetUnionModel) -> None:
    """Have a union net weigh its hint without the picture in the making, as ComfyUI does."""
    first: Any = net.transformer_layes[0]
    first.register_forward_pre_hook(lambda _module, arguments: (arguments[0][:, :1], *arguments[1:]))


def load_control(file: ModelFile, unet: Any, device: Device) -> Any:
    """The ControlNet, or the PictureAdapter, of a file or folder, made for UNets like `unet`. Raises BadInput."""
    if file.path.is_dir():
        kind = str(read_json(file.path / "config.json").get("_class_name"))
        if kind == T2IAdapter.__name__:
            return load_picture_adapter(file, unet, device)
        known = {each.__name__: each for each in (ControlNetModel, ControlNetUnionModel)}
        if kind not in known:
            raise BadInput(f"The folder '{file.name}' holds a {kind}, not a ControlNet for this model.")
        net = from_folder(known[kind], file.path, device.compute)
        if int(net.config.cross_attention_dim) != int(unet.config.cross_attention_dim):
            raise wrong_family(file)
    else:
        checkpoint = Checkpoint(file.path)
        if is_picture_adapter(checkpoint):
            return load_picture_adapter(file, unet, device)
        load = load_control_lora if is_control_lora(checkpoint) else _from_file
        net = load(file, checkpoint, unet, device)
    if isinstance(net, ControlNetUnionModel):
        look_at_hints_alone(net)
    settle(net, device.place, device.compute)
    call_directly(net)
    return net


def check_control(file: ModelFile, unet: Any) -> None:
    """Raises BadInput when a single file cannot be a ControlNet of UNets like `unet`; reads its header only."""
    if file.path.is_dir():
        return
    checkpoint = Checkpoint(file.path)
    if is_picture_adapter(checkpoint):
        check_picture_adapter(file, checkpoint, unet)
    elif is_control_lora(checkpoint):
        check_control_lora(file, checkpoint, unet)
    else:
        _layout(file, checkpoint, unet)


def _layout(file: ModelFile, checkpoint: Checkpoint, unet: Any) -> tuple[str, bool]:
    """The prefix of the net's tensors and whether they have their original names. Raises BadInput."""
    for start, kind in _OTHER_KINDS:
        if any(name.startswith(start) for name in checkpoint.shapes):
            raise BadInput(f"The file '{file.name}' is a {kind}; this server cannot use it with this model.")
    prefix = checkpoint.prefix(_OLD_PREFIXES, _OLD_MARKER)
    if prefix is None and _NEW_MARKER not in checkpoint.shapes:
        raise BadInput(f"The file '{file.name}' holds no ControlNet.")
    shapes = checkpoint.below(prefix or "")
    width = next((shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")), None)
    if width not in (None, int(unet.config.cross_attention_dim)):
        raise wrong_family(file)
    return prefix or "", prefix is not None


def _from_file(file: ModelFile, checkpoint: Checkpoint, unet: Any, device: Device) -> Any:
    prefix, is_old = _layout(file, checkpoint, unet)
    shapes: Shapes = checkpoint.below(prefix)
    named: Named = checkpoint.tensors_below(prefix)
    layers = int(unet.config.layers_per_block)
    if is_old:
        names = {name: old_name(name, layers) for name in shapes}
        shapes = {names[name]: shape for name, shape in shapes.items()}
        named = ((names[name], tensor) for name, tensor in named)
    kind = ControlNetUnionModel if UNION_MARKER in shapes else ControlNetModel
    net = built(kind, net_config(kind, shapes, unet) | checkpoint.config().get("controlnet", {}))
    try:
        fill(net, file.name, named, device.compute)
        refuse_gaps(file.name, net)
    except BadInput:
        raise wrong_family(file) from None
    return net
