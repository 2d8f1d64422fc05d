"""What a loaded model of the batched tier is made of, and what a family has to say to be one: an Adapter.

A new family is one adapter file in engine/adapters (and, where its text encoders or VAE are of a new kind, one file for
those). Everything above speaks only in the types of this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import torch

from swarm.architectures.architecture import Architecture, LatentFormat
from swarm.diffusion.sigmas import SigmaTable
from swarm.engine.chains import Chain, Memory
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.residency import Residency
from swarm.engine.tiling import FALLBACK, FALLBACK_DECODE_OVERLAP, FALLBACK_ENCODE_OVERLAP, thrice
from swarm.jobs.job import LoraUse, ModelFile
from swarm.jobs.stage import Conditioning, Control
from swarm.media.image import Picture


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One line of a model call. `x`: (1, C, h, w) float32, scaled for the network. `timestep`: may lie between steps.

    `sigma`: the noise level it stands for. `size`: what `size_numbers` said of the picture. `concat`: (1, C', h, w)
    channels beside x. `guidance`: what guidance-distilled models are told. `controls`: ControlNets at this step.
    `variant`: a way to run the network that a feature asked for, the plain one is "". `by_second`: it is asked of the
    walk's second model. `memory`: of earlier steps, where the request has blocks left out. `away`: the negative
    prompt's line, where this one's attention is led away from that.
    """

    x: torch.Tensor
    timestep: float
    sigma: float
    conditioning: Conditioning
    size: tuple[float, ...] = ()
    concat: torch.Tensor | None = None
    guidance: float | None = None
    controls: tuple[Control, ...] = ()
    variant: str = ""
    by_second: bool = False
    memory: Memory | None = None
    away: Row | None = None


Sizes: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]
NO_SIZES: Sizes = ((), ())
"""For networks that are not told any size."""


class Denoiser(Protocol):
    """Calls a loaded network."""

    def size_numbers(self, width: int, height: int, *, enhanced: bool) -> Sizes:
        """What the network is told about a picture's size in pixels with the prompt, and with the negative prompt.
        `enhanced`: sizes that make the picture better may be told instead of the true ones."""

    def together(self, rows: Sequence[Row]) -> list[list[int]]:
        """Positions of the rows that may share a call, each position once. All have the same latent size."""

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The network's outputs for rows of one entry of `together`, in order: (n, C, h, w) float32."""


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """How a prompt is encoded. `stop_at_layer`: -1 is the last layer, None the family's own choice. `embeddings`: files
    of textual inversions the prompt may name, by name. `silent`: encoders (slots) that are not to be heard. `loras`:
    what acts on them besides `state`. `is_negative`: the prompt says what is not wanted. `pictures`: those that come
    with the prompt, for encoders that see.
    """

    stop_at_layer: int | None = None
    is_negative: bool = False
    silent: frozenset[str] = frozenset()
    loras: tuple[LoraUse, ...] = ()
    pictures: tuple[Picture, ...] = ()
    embeddings: tuple[tuple[str, ModelFile], ...] = ()


class TextEncoder(Protocol):
    """A model's text encoders, as one. `state`: names the changes that are in their weights now (LoRAs, patches)."""

    state: tuple[Any, ...]
    calls: int
    """How often a network was run; remembered prompts do not count."""
    awake: Callable[[], AbstractContextManager[None]]
    """Has the networks on the device while they run."""

    def encode(self, text: str, options: TextOptions) -> Conditioning:
        """The conditioning of one prompt. The same text and options give the same object while it is remembered."""


class Vae:
    """A VAE that speaks in the model's latent scale: (encoded - shift) * scale. `factor`: pixels per latent cell."""

    over = staticmethod(thrice)
    """How it goes over a picture in tiles."""

    def __init__(self, module: Any, *, factor: int, latent: LatentFormat) -> None:
        self.module = module
        self.awake: Callable[[], AbstractContextManager[None]] = nullcontext
        self.tiles: tuple[int, int, int] | None = None
        """Side, overlap when decoding and when encoding of the tiles it works in, in pixels; None for one piece."""
        self.factor = factor
        self.channels = int(getattr(module.config, "latent_channels", latent.channels))
        self.scale = float(getattr(module.config, "scaling_factor", None) or latent.scale)
        self.shift = float(getattr(module.config, "shift_factor", None) or latent.shift)
        self.width = int(getattr(module.config, "block_out_channels", (128,))[0])
        """Channels of the decoder's widest maps; memory is reckoned with it."""

    @property
    def dtype(self) -> torch.dtype:
        found: torch.dtype = next(self.module.parameters()).dtype
        return found

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """(n, C, h, w) in the model's scale to (n, 3, H, W), -1 to 1."""
        latents = self.bare(latents)
        with self.awake():
            if self.tiles is None:
                return self.decoded(latents)
            tile, overlap, _ = (side // self.factor for side in self.tiles)
            return self.over(latents, self.decoded, tile, overlap, self.factor)

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """(n, 3, H, W), -1 to 1, to (n, C, h, w) float32. The posterior's mean, so a picture has one latent."""
        with self.awake():
            if self.tiles is None:
                return (self.encoded(pictures) - self.shift) * self.scale
            tile, _, overlap = self.tiles
            return (self.over(pictures, self.encoded, tile, overlap, 1 / self.factor) - self.shift) * self.scale

    def bare(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents of the model's scale in the VAE's own."""
        return latents / self.scale + self.shift

    def usual(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents of the model's scale in that of most models with such a VAE, which tiny decoders are made for."""
        return latents

    def decoded(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents in the VAE's own scale, decoded; families with another kind of VAE say how."""
        pictures: torch.Tensor = self.module.decode(latents.to(self.dtype)).sample
        return pictures

    def encoded(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures as latents in the VAE's own scale, float32."""
        latents: torch.Tensor = self.module.encode(pictures.to(self.dtype)).latent_dist.mode().float()
        return latents

    def enable_tiling(self, *, tile: int | None = None, overlap: int | None = None) -> None:
        """Decode and encode in tiles from now on; `tile`, `overlap`: pixels, None for what usually fits."""
        if tile is None:
            self.tiles = FALLBACK, FALLBACK_DECODE_OVERLAP, FALLBACK_ENCODE_OVERLAP
            return
        overlap = FALLBACK_ENCODE_OVERLAP if overlap is None else overlap
        self.tiles = tile, overlap if tile >= overlap * 4 else tile // 4, overlap if tile > overlap * 2 else tile // 4

    def disable_tiling(self) -> None:
        self.tiles = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """Where a model is loaded from: a single file (`checkpoint`) or a diffusers folder (`folder`).

    `architecture`: the family the catalog found. `parts`: files that complete or replace components, by slot.
    """

    file: ModelFile
    device: Device
    architecture: Architecture
    checkpoint: Checkpoint | None
    folder: Path | None
    parts: Mapping[str, ModelFile]


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """What an adapter read, not yet on the device. `text_modules`: in the order LoRA files number them.

    `noise`: entries of a diffusers scheduler config that differ from the family's (`prediction_type`, `flow_shift` …).
    `family`: id of the family by what was found in the file, used when the catalog knew none. `compute`: the number
    format of the denoiser and the text encoders where it is not the device's. `latent`: the space of its latents where
    it is not the family's.
    """

    denoiser: torch.nn.Module
    vae: Vae
    text: TextEncoder
    text_modules: tuple[torch.nn.Module, ...]
    noise: Mapping[str, Any] = field(default_factory=dict)
    family: str | None = None
    compute: torch.dtype | None = None
    latent: LatentFormat | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Components:
    """A loaded model. `bytes`: what its weights take."""

    file: ModelFile
    architecture: Architecture
    adapter: Adapter
    denoiser: torch.nn.Module
    vae: Vae
    text: TextEncoder
    text_modules: tuple[torch.nn.Module, ...]
    prediction: str
    table: SigmaTable
    latent: LatentFormat
    bytes: int
    residency: Residency = Residency.FULL

    @property
    def vae_factor(self) -> int:
        return self.vae.factor

    @property
    def modules(self) -> tuple[torch.nn.Module, ...]:
        """All networks of it."""
        return (self.denoiser, self.vae.module, *self.text_modules)

    @property
    def is_flow(self) -> bool:
        return self.prediction == "flow"


ImageWordsOf: TypeAlias = Callable[
    [ModelFile, ModelFile, Sequence[Picture], Any, Device], tuple[torch.Tensor, torch.Tensor]
]
StyleWordsOf: TypeAlias = Callable[[ModelFile, ModelFile, Sequence[Picture], int, Device], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """How the engine runs one kind of denoiser; `Architecture.adapter` names it by id.

    `pipelines`: diffusers classes (of `model_index.json`) whose folders it runs, each with its family's id.
    `load(source)`: reads the parts; raises BadInput with a sentence, and for a component that is in none of the files
    one that names the file to get and the folder to put it in. `denoiser(components, device)`: made once per load.
    `lora_keys(key, denoiser)`: a LoRA file's name for a module of the denoiser, dots as underscores and without its
    prefix, in the modules' own names (underscores too); several where the file knows as one layer what the module has
    as several, whose outputs then follow one another. The name itself when there is nothing to translate.
    `inpaint_channels(denoiser, latent, mask)`: see StageTools; None for a network that sees nothing beside x.
    `nothing_beside(denoiser, latent)`: what such a network sees beside x where the request gives it nothing to fill in.
    `is_led(denoiser)`: whether it sees the latent of the init image beside x, as depth and canny models do.
    `widens`: its layer of which LoRAs may double the inputs, so that it is led; "" for none.
    `variants`: ways to run the network that features may ask for, as context managers around a call; what one gives is
    what it has seen.
    `check_control(file, denoiser)`: raises BadInput for a file that is no ControlNet of such denoisers; None where the
    family takes no ControlNets.
    `image_words(adapter, encoder, pictures, denoiser, device)`: see StageTools; None where there are no IP-Adapters.
    `style_words(style, encoder, pictures, width, device)`: see StageTools; None where there are no style models.
    `row_width(denoiser)`: channels of the widest map of one row, for the memory estimate.
    `chain()`: the denoiser's parts, made once per load; None where no part of it can be left out.
    `attention`: where it attends to words and picture together (engine/attending/spots.py); None where it does not, or
    cannot be led there.
    """

    id: str
    pipelines: Mapping[str, str] = field(default_factory=dict)
    load: Callable[[Source], Parts]
    denoiser: Callable[[Components, Device], Denoiser]
    lora_keys: Callable[[str, torch.nn.Module], tuple[str, ...]] = lambda key, _module: (key,)
    inpaint_channels: Callable[[torch.nn.Module, torch.Tensor, torch.Tensor], torch.Tensor | None] = (
        lambda _denoiser, _latent, _mask: None
    )
    nothing_beside: Callable[[torch.nn.Module, torch.Tensor], torch.Tensor | None] = lambda _denoiser, _latent: None
    is_led: Callable[[torch.nn.Module], bool] = lambda _denoiser: False
    widens: str = ""
    variants: Mapping[str, Callable[[Any], AbstractContextManager[Any]]] = field(default_factory=dict)
    row_width: Callable[[torch.nn.Module], int] = lambda _module: 320
    check_control: Callable[[ModelFile, torch.nn.Module], None] | None = None
    image_words: ImageWordsOf | None = None
    style_words: StyleWordsOf | None = None
    chain: Callable[[], Chain] | None = None
    attention: Callable[[Any, Row, int], list[Any]] | None = None


def same_lengths(rows: Sequence[Row]) -> list[list[int]]:
    """The plain `together`: rows whose prompts have one length, with the same kind of everything else."""
    calls: dict[object, list[int]] = {}
    for position, row in enumerate(rows):
        key = (tuple(row.conditioning.tokens.shape[1:]), kind_of(row))
        calls.setdefault(key, []).append(position)
    return list(calls.values())


def kind_of(row: Row) -> object:
    """What rows of one call must have in common besides their prompts' length."""
    return (
        row.variant,
        row.by_second,
        None if row.concat is None else tuple(row.concat.shape),
        row.guidance is None,
        tuple((control.file.path, control.mode) for control in row.controls),
        tuple(sorted(row.conditioning.extra)),
        row.conditioning.loras,
    )
