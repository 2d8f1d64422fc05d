"""ControlNets beside a UNet: read in every layout in use, kept, and asked for what they add to a call's rows."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from diffusers import ControlNetModel, ControlNetUnionModel

from swarm.base.errors import BadInput
from swarm.engine.checkpoint import Checkpoint
from swarm.engine.components import Row
from swarm.engine.device import Device
from swarm.engine.direct import call_directly
from swarm.engine.encoders import from_folder
from swarm.engine.keys import unet_key
from swarm.engine.loader import Named, built, fill, read_json, refuse_gaps, settle
from swarm.engine.shapes import Shapes, count
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
_UNION_MARKER = "task_embedding"
_AVERAGED = ("_shuffle", "_shuffle_fp16")
"""Ends of the names of nets that say the same at every place: what they say there on average."""
_OTHER_KINDS = (
    ("lora_controlnet", "Control-LoRA"),
    ("lllite_unet", "ControlNet-LLLite"),
    ("adapter.", "T2I-Adapter"),
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


class Controls(KeptNets):
    """The ControlNets of one loaded UNet."""

    def __init__(self, unet: Any, device: Device) -> None:
        super().__init__(lambda file: load_control(file, unet, device))

    def added(
        self, rows: Sequence[Row], x: torch.Tensor, times: torch.Tensor, tokens: torch.Tensor, told: dict[str, Any]
    ) -> dict[str, Any]:
        """What the UNet is to be called with besides. `rows` have the same nets in the same order; `x`: (n, C, h, w)
        without channels beside it. Several nets add up. Empty when the rows have none."""
        downs: list[torch.Tensor] = []
        middle: Any = None
        for chain in zip(*(row.controls for row in rows), strict=True):
            strengths = torch.tensor([one.strength for one in chain], device=x.device, dtype=x.dtype)[
                :, None, None, None
            ]
            own, deepest = self._said(chain, x, times, tokens, told)
            own = [each * strengths for each in own]
            downs = own if middle is None else [one + other for one, other in zip(downs, own, strict=True)]
            middle = deepest * strengths if middle is None else middle + deepest * strengths
        if middle is None:
            return {}
        return {"down_block_additional_residuals": tuple(downs), "mid_block_additional_residual": middle}

    def _said(
        self, chain: Sequence[Control], x: torch.Tensor, times: torch.Tensor, tokens: torch.Tensor, told: dict[str, Any]
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """One net's residuals at full strength."""
        net = self.net(chain[0].file)
        hints = torch.cat([one.hint.to(x) for one in chain])
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
    """The ControlNet of a file or folder, made for UNets like `unet`. Raises BadInput."""
    if file.path.is_dir():
        kind = str(read_json(file.path / "config.json").get("_class_name"))
        known = {each.__name__: each for each in (ControlNetModel, ControlNetUnionModel)}
        if kind not in known:
            raise BadInput(f"The folder '{file.name}' holds a {kind}, not a ControlNet for this model.")
        net = from_folder(known[kind], file.path, device.compute)
        if int(net.config.cross_attention_dim) != int(unet.config.cross_attention_dim):
            raise wrong_family(file)
    else:
        net = _from_file(file, Checkpoint(file.path), unet, device)
    if isinstance(net, ControlNetUnionModel):
        look_at_hints_alone(net)
    settle(net, device.place, device.compute)
    call_directly(net)
    return net


def check_control(file: ModelFile, unet: Any) -> None:
    """Raises BadInput when a single file cannot be a ControlNet of UNets like `unet`; reads its header only."""
    if not file.path.is_dir():
        _layout(file, Checkpoint(file.path), unet)


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


def wrong_family(file: ModelFile) -> BadInput:
    return BadInput(
        f"The ControlNet '{file.name}' is for another kind of model. Choose one made for this model's family."
    )


def _from_file(file: ModelFile, checkpoint: Checkpoint, unet: Any, device: Device) -> Any:
    prefix, is_old = _layout(file, checkpoint, unet)
    shapes: Shapes = checkpoint.below(prefix)
    named: Named = checkpoint.tensors_below(prefix)
    layers = int(unet.config.layers_per_block)
    if is_old:
        names = {name: old_name(name, layers) for name in shapes}
        shapes = {names[name]: shape for name, shape in shapes.items()}
        named = ((names[name], tensor) for name, tensor in named)
    kind = ControlNetUnionModel if _UNION_MARKER in shapes else ControlNetModel
    net = built(kind, _config(kind, shapes, unet) | checkpoint.config().get("controlnet", {}))
    try:
        fill(net, file.name, named, device.compute)
        refuse_gaps(file.name, net)
    except BadInput:
        raise wrong_family(file) from None
    return net


def _config(kind: Any, shapes: Shapes, unet: Any) -> dict[str, Any]:
    """A net's config: the UNet's, with what the file's shapes tell."""
    config = {name: unet.config[name] for name in inspect.signature(kind.__init__).parameters if name in unet.config}
    hint = "controlnet_cond_embedding."
    inner = sorted(
        int(name.split(".")[2]) for name in shapes if name.startswith(f"{hint}blocks.") and name.endswith(".weight")
    )
    outs = [shapes[f"{hint}conv_in.weight"][0], *(shapes[f"{hint}blocks.{one}.weight"][0] for one in inner[1::2])]
    config |= {
        "in_channels": shapes["conv_in.weight"][1],
        "conditioning_channels": shapes[f"{hint}conv_in.weight"][1],
        "conditioning_embedding_out_channels": tuple(outs),
    }
    if kind is ControlNetUnionModel:
        config |= _union_config(shapes)
    return config


def _union_config(shapes: Shapes) -> dict[str, Any]:
    modes, width = shapes[_UNION_MARKER]
    return {
        "num_control_type": modes,
        "num_trans_channel": width,
        "num_trans_head": max(1, width // 40),
        "num_trans_layer": count(shapes, r"transformer_layes\.(\d+)\."),
        "num_proj_channel": shapes["spatial_ch_projs.weight"][0],
    }


def old_name(name: str, layers: int) -> str:
    """A tensor's name in the original layout (below `control_model.`) in diffusers' spelling."""
    start, _, rest = name.partition(".")
    if start == "input_hint_block":
        number, end = rest.split(".")
        # Every other entry is an activation; the first and the last are the ends.
        place = {0: "conv_in", 14: "conv_out"}.get(int(number), f"blocks.{int(number) // 2 - 1}")
        return f"controlnet_cond_embedding.{place}.{end}"
    if start == "zero_convs":
        number, _zero, end = rest.split(".")
        return f"controlnet_down_blocks.{number}.{end}"
    if start == "middle_block_out":
        return f"controlnet_mid_block.{rest.removeprefix('0.')}"
    return unet_key(name, layers) or name
