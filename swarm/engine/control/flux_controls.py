"""ControlNets beside Flux.1's transformer, union nets too: read from files and folders, asked for what they add."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import FluxControlNetModel

from swarm.base.errors import BadInput
from swarm.engine.components import Components, Row
from swarm.engine.control.control_layouts import wrong_family
from swarm.engine.control.controls import KeptNets
from swarm.engine.control.flow_controls import Hints, control_prefix, controls_of, read_net, spread, strengths, summed
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.flux_names import block_counts, either, flux_names
from swarm.engine.files.shapes import Shapes
from swarm.engine.loader import Config
from swarm.engine.once import Numbers
from swarm.engine.packing import even, packed
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Control

MODES = {"canny/lineart/anime_lineart/mlsd": 0, "hed/pidi/scribble/ted": 0, "tile": 1, "depth": 2, "openpose": 4}
"""Union types by the numbers that Flux's union nets have for them; other drawn lines go as canny's."""
_MODES = "controlnet_mode_embedder.weight"
_EYE = "input_hint_block.conv_out.weight"
"""Of nets that look at the picture's pixels and not at its latent."""
_PATCH = 16


class FluxControls(KeptNets):
    """The ControlNets of one loaded Flux transformer."""

    def __init__(self, components: Components, device: Device) -> None:
        network: Any = components.denoiser
        super().__init__(lambda file: load_flux_control(file, network, device))
        self._hints = Hints(components.vae)
        self._numbers = Numbers(device)
        self._blocks = len(network.transformer_blocks)
        self._singles = len(network.single_transformer_blocks)

    def added(
        self, rows: Sequence[Row], tokens: torch.Tensor, told: dict[str, Any], guidance: torch.Tensor, *, beside: int
    ) -> dict[str, Any]:
        """What the transformer is to be called with besides; empty when the rows have no nets. `tokens`: (n, cells, 64)
        of the pictures alone, behind which the call has `beside` tokens of references. `told`: the call's other
        arguments."""
        double: list[torch.Tensor] = []
        single: list[torch.Tensor] = []
        for chain in controls_of(rows):
            net = self.net(chain[0].file)
            more = {"guidance": guidance} if net.config.guidance_embeds else {}
            mode = chain[0].mode
            is_told = net.config.num_mode is not None and mode is not None
            if is_told:
                number = _mode(str(mode), chain[0].file, net)
                more["controlnet_mode"] = torch.full((len(rows), 1), number, device=tokens.device)
            net.union = is_told
            ours, theirs = net(
                hidden_states=tokens, controlnet_cond=self._shown(net, chain, tokens), return_dict=False, **told, **more
            )
            by = strengths(chain, tokens, self._numbers)
            double = summed(double, spread(ours, _home(ours, self._blocks, net), self._blocks, by))
            single = summed(single, spread(theirs, _home(theirs, self._singles), self._singles, by))
        pad = torch.nn.functional.pad
        found = {"controlnet_block_samples": double, "controlnet_single_block_samples": single}
        return {name: [pad(each, (0, 0, 0, beside)) for each in samples] for name, samples in found.items() if samples}

    def _shown(self, net: Any, chain: Sequence[Control], like: torch.Tensor) -> torch.Tensor:
        if net.input_hint_block is None:
            return packed(even(self._hints.latents(chain))).to(like)
        pixels = torch.cat([one.hint for one in chain]) * 2 - 1
        missing = [-side % _PATCH for side in pixels.shape[-2:]]
        return torch.nn.functional.pad(pixels, (0, missing[1], 0, missing[0]), mode="replicate").to(like)


def _home(samples: Any, blocks: int, net: Any = None) -> Any:
    """Which of a net's answers a block takes: nets with an eye of their own are gone through again and again, others
    speak to several blocks at a time."""
    have = max(1, len(samples or ()))
    if net is not None and net.input_hint_block is not None:
        return lambda number: number % have
    every = -(-blocks // have)
    return lambda number: number // every


def _mode(named: str, file: ModelFile, net: Any) -> int:
    number = MODES.get(named)
    if number is None or number >= int(net.config.num_mode):
        raise BadInput(f"The ControlNet '{file.name}' does not know the union type '{named}'.")
    return number


def load_flux_control(file: ModelFile, transformer: Any, device: Device) -> Any:
    """The ControlNet of a file or folder, made for transformers like `transformer`. Raises BadInput."""
    net = read_net(
        file,
        FluxControlNetModel,
        device,
        lambda shapes: _config(shapes, transformer),
        lambda shapes: flux_names(*block_counts(shapes)),
    )
    if net.inner_dim != transformer.inner_dim:
        raise wrong_family(file)
    return net


def check_flux_control(file: ModelFile, transformer: Any) -> None:
    """Raises BadInput when a single file cannot be a ControlNet of such transformers; reads its header only."""
    if file.path.is_dir():
        return
    checkpoint = Checkpoint(file.path)
    shapes = checkpoint.below(control_prefix(file, checkpoint))
    shown = shapes.get("controlnet_x_embedder.weight")
    seen = shapes.get("x_embedder.weight", shapes.get("img_in.weight"))
    if shown is None or seen is None or seen[0] != int(transformer.inner_dim):
        raise wrong_family(file)
    if shown[1] != seen[1]:
        raise BadInput(f"The ControlNet '{file.name}' wants a mask beside its picture; this server has none for it.")


def _config(shapes: Shapes, transformer: Any) -> Config:
    """A net's config: the transformer's, with what the file's shapes tell."""
    config = {
        name: transformer.config[name]
        for name in inspect.signature(FluxControlNetModel.__init__).parameters
        if name in transformer.config
    }
    eye, modes = shapes.get(_EYE), shapes.get(_MODES)
    double, single = block_counts(shapes)
    return config | {
        "patch_size": 1 if eye is None else 2,
        "in_channels": either(shapes, "x_embedder.weight", "img_in.weight")[1],
        "num_layers": double,
        "num_single_layers": single,
        "guidance_embeds": any("guidance_in." in name or "guidance_embedder." in name for name in shapes),
        "num_mode": None if modes is None else modes[0],
        "conditioning_embedding_channels": None if eye is None else eye[0],
    }
