"""ControlNets beside Stable Diffusion 3's transformer, 3.5 Large's small ones too: read, and asked what they add."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from diffusers import SD3ControlNetModel

from swarm.base.errors import BadInput
from swarm.engine.components import Components, Row
from swarm.engine.control.control_layouts import wrong_family
from swarm.engine.control.controls import KeptNets
from swarm.engine.control.flow_controls import (
    Hints,
    Shown,
    as_it_is,
    control_prefix,
    controls_of,
    read_net,
    spread,
    strengths,
    summed,
)
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.flux_names import Entry, either
from swarm.engine.files.renaming import Renaming
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.loader import Config, settle
from swarm.engine.once import Numbers
from swarm.engine.packing import even
from swarm.jobs.job import ModelFile

_BLOCKS = r"transformer_blocks\.(\d+)\."
_SHOWN = "pos_embed_input.proj.weight"
_KIND = "control_type"
_CANNY, _DEPTH = 1, 2
_MIDDLE = 7.5
"""Where the places of a small net lie around, and how far from it those of the shorter side do."""


class Sd3Controls(KeptNets):
    """The ControlNets of one loaded Stable Diffusion 3 transformer."""

    def __init__(self, components: Components, device: Device) -> None:
        network: Any = components.denoiser
        super().__init__(lambda file: load_sd3_control(file, network, device))
        self._hints = Hints(components.vae)
        self._numbers = Numbers(device)
        self._blocks = len(network.transformer_blocks)
        self._last: torch.Tensor | None = None
        network.norm_out.register_forward_pre_hook(self._behind)

    def added(self, rows: Sequence[Row], told: dict[str, Any]) -> dict[str, Any]:
        """What the transformer is to be called with besides; empty when the rows have no nets. `told`: the call's other
        arguments."""
        found: list[torch.Tensor] = []
        self._last = None
        for chain in controls_of(rows):
            net = self.net(chain[0].file)
            plain = bool(net.config.force_zeros_for_pooled_projection)
            own = dict(told)
            if plain:
                own["pooled_projections"] = torch.zeros_like(told["pooled_projections"])
            if net.context_embedder is None:
                del own["encoder_hidden_states"]
            x = told["hidden_states"]
            shown = even(self._hints.latents(chain, shifted=not plain, shown=net.shown)).to(x)
            samples = net(**own, controlnet_cond=shown, return_dict=False)[0]
            share = len(samples) / self._blocks
            homes = [int(number * share) for number in range(self._blocks)]
            by = strengths(chain, x, self._numbers)
            found = summed(found, spread(samples, homes.__getitem__, self._blocks, by))
            if not plain:
                last = samples[homes[-1]] * by
                self._last = last if self._last is None else self._last + last
        return {"block_controlnet_hidden_states": found} if found else {}

    def _behind(self, _module: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        """What small nets say to the last block, which the library's transformer leaves out."""
        return None if self._last is None else (arguments[0] + self._last, *arguments[1:])


class Places(torch.nn.Module):
    """How small nets see a latent: patches as the model's own, places on a grid of their own."""

    def __init__(self, patches: torch.nn.Module) -> None:
        super().__init__()
        self.proj = patches

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        seen = self.proj(latent)
        height, width = seen.shape[-2:]
        told = own_places(height, width, int(seen.shape[1])).to(seen)
        return seen.flatten(2).transpose(1, 2) + told


def own_places(height: int, width: int, channels: int) -> torch.Tensor:
    """(height * width, channels): sines and cosines of columns and rows, the shorter side from 0 to 15."""
    half = [side / min(height, width) * _MIDDLE for side in (height, width)]
    down, across = (
        torch.linspace(_MIDDLE - reach, _MIDDLE + reach, side)
        for reach, side in zip(half, (height, width), strict=True)
    )
    rows, columns = torch.meshgrid(down, across, indexing="ij")
    rates = 10000.0 ** -(torch.arange(channels // 4) / (channels / 4))
    waves = [place.reshape(-1, 1) * rates for place in (columns, rows)]
    return torch.cat([wave for each in waves for wave in (each.sin(), each.cos())], dim=1)


def bright_lines(image: torch.Tensor) -> torch.Tensor:
    """Lines as 3.5 Large's net for them was shown them: in levels, not in shares."""
    return image * 255.0 * 0.5 + 0.5


def far_is_bright(image: torch.Tensor) -> torch.Tensor:
    return 1.0 - image


_SHOWN_AS: dict[int, Shown] = {_CANNY: bright_lines, _DEPTH: far_is_bright}


def load_sd3_control(file: ModelFile, transformer: Any, device: Device) -> Any:
    """The ControlNet of a file or folder, made for transformers like `transformer`. Raises BadInput."""
    net = read_net(
        file,
        SD3ControlNetModel,
        device,
        lambda shapes: _config(shapes, transformer),
        lambda shapes: small_names(count(shapes, _BLOCKS)),
    )
    if net.inner_dim != transformer.inner_dim:
        raise wrong_family(file)
    if int(net.config.extra_conditioning_channels):
        raise wants_mask(file)
    net.shown = _shown_as(file)
    if not net.config.use_pos_embed:
        net.pos_embed = Places(net._get_pos_embed_from_transformer(transformer).proj)
        settle(net, device.place, next(net.parameters()).dtype)
    return net


def _shown_as(file: ModelFile) -> Shown:
    """What is made of guiding pictures first; published files say what they are shown."""
    if file.path.is_dir():
        return as_it_is
    checkpoint = Checkpoint(file.path)
    kind = round(float(checkpoint.tensor(_KIND).flatten()[0])) if _KIND in checkpoint.shapes else -1
    return _SHOWN_AS.get(kind, as_it_is)


def wants_mask(file: ModelFile) -> BadInput:
    return BadInput(f"The ControlNet '{file.name}' wants a mask beside its picture; this server has none for it.")


def check_sd3_control(file: ModelFile, transformer: Any) -> None:
    """Raises BadInput when a single file cannot be a ControlNet of such transformers; reads its header only."""
    if file.path.is_dir():
        return
    checkpoint = Checkpoint(file.path)
    shapes = checkpoint.below(control_prefix(file, checkpoint))
    shown = shapes.get(_SHOWN)
    if shown is None or shown[0] != int(transformer.inner_dim):
        raise wrong_family(file)
    if shown[1] != int(transformer.config.in_channels):
        raise wants_mask(file)


@lru_cache(maxsize=16)
def small_names(blocks: int) -> Renaming:
    """The table of the original layout, which only 3.5 Large's nets have: blocks that do not hear the prompt."""
    return Renaming(modules=dict(entry for number in range(blocks) for entry in _block(number)) | dict(_around()))


def _around() -> Iterator[Entry]:
    for old, new in (("t_embedder", "timestep_embedder"), ("y_embedder", "text_embedder")):
        yield f"{old}.mlp.0", (f"time_text_embed.{new}.linear_1",)
        yield f"{old}.mlp.2", (f"time_text_embed.{new}.linear_2",)


def _block(number: int) -> Iterator[Entry]:
    at = f"transformer_blocks.{number}."
    yield f"{at}adaLN_modulation.1", (f"{at}norm1.linear",)
    yield f"{at}attn.qkv", tuple(f"{at}attn.to_{part}" for part in "qkv")
    yield f"{at}attn.proj", (f"{at}attn.to_out.0",)
    yield f"{at}mlp.fc1", (f"{at}ff.net.0.proj",)
    yield f"{at}mlp.fc2", (f"{at}ff.net.2",)


def _config(shapes: Shapes, transformer: Any) -> Config:
    """A net's config: the transformer's, with what the file's shapes tell."""
    config = {
        name: transformer.config[name]
        for name in inspect.signature(SD3ControlNetModel.__init__).parameters
        if name in transformer.config
    }
    hears = "context_embedder.weight" in shapes
    blocks = count(shapes, _BLOCKS)
    positions = shapes.get("pos_embed.pos_embed")
    return config | {
        "num_layers": blocks,
        "joint_attention_dim": shapes["context_embedder.weight"][1] if hears else None,
        "extra_conditioning_channels": either(shapes, _SHOWN)[1] - int(transformer.config.in_channels),
        "pos_embed_max_size": config["pos_embed_max_size"] if positions is None else int(positions[1] ** 0.5),
        "use_pos_embed": "pos_embed.proj.weight" in shapes,
        "force_zeros_for_pooled_projection": hears,
        "qk_norm": "rms_norm" if "transformer_blocks.0.attn.norm_q.weight" in shapes else None,
        "dual_attention_layers": tuple(
            number for number in range(blocks) if f"transformer_blocks.{number}.attn2.to_q.weight" in shapes
        ),
    }
