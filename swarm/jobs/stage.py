"""Where a feature may act while the engine makes a picture, and how it says so.

A feature file declares parameters and, next to them, what they do: stage functions inside one walk down the noise
levels, patches of the model's modules, and acts between walks (jobs.acts). The engine collects them, and for each
picture uses those whose parameter the request sets. Tensors are `Any` here: only the engine and these functions know
torch.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol

from swarm.architectures.architecture import Architecture
from swarm.jobs.job import LoraUse, ModelFile
from swarm.media.image import Picture, Pixels
from swarm.params.input import GenerationInput
from swarm.params.param import Param


class Stage(Enum):
    """Points in one walk down the noise levels, in the order they are reached."""

    ENCODE = "encode"
    """Prompts are encoded: `positive` and `negative` may be changed, once for each distinct text."""
    START = "start"
    """`noise`, `latent` and `sigmas` are made, nothing has been denoised. `concat`, `controls`, `guidance` too."""
    BEFORE = "before"
    """Before each model call: `x` may be changed at `sigma`. May run twice for a call, always on the sampler's `x`."""
    GUIDE = "guide"
    """After each model call: `cond`, `uncond` and `denoised` hold predictions of the clean latent at `sigma`."""
    FINISH = "finish"
    """The walk is over: `latent` is its result."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditioning:
    """What the denoiser is told about a prompt. `tokens`: (1, length, width), length a multiple of the encoder's chunk.

    `pooled`: (1, width) or None. `extra`: whatever else a family's denoiser is told (masks, token ids, image tokens …),
    by its own names. A prompt may be several of these, mixed by `weight` (1, 1, h, w) at the latent's size or a number;
    one of them counts from `start` to `end`, shares of the whole walk. `loras`: what acts besides the walk's own LoRAs
    when this is told.
    """

    tokens: Any
    pooled: Any = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    weight: Any = 1.0
    start: float = 0.0
    end: float = 1.0
    loras: tuple[LoraUse, ...] = ()

    def counts_at(self, share: float) -> bool:
        """Whether it counts when `share` (0 to 1) of the walk is done."""
        return self.start <= share and (share < self.end or self.end >= 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Control:
    """A ControlNet at work: its file, what it sees, (1, 3, H, W) from 0 to 1, and how strongly.

    `start`, `end`: the share of the walk it acts in. `mode`: which kind of hint it is, for union nets, else None.
    """

    file: ModelFile
    hint: Any
    strength: float
    start: float = 0.0
    end: float = 1.0
    mode: str | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Which picture of how many a walk is for, where a job makes several: what is drawn for all of them at once is
    drawn from the first one's seed. `ahead`: how far the picture's seeds are beyond those."""

    index: int = 0
    size: int = 1
    ahead: int = 0

    def behind(self, count: int) -> Batch:
        """The same picture, with `count` others before all of the job's."""
        return replace(self, index=self.index + count, size=self.size + count)


ALONE = Batch()
"""The only picture of its job."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One walk down the noise levels: a request of its own, which most pictures are made of one of.

    `input`: what every stage of the walk reads (an act that refines sets STEPS, CFG_SCALE, PROMPT … to what its walk
    wants). `latent`: a clean latent (1, C, h, w) in the model's scale to begin with, instead of an empty one; the walk
    then begins at step `first_step`. `confined`: LoRAs that act where the prompt's part of their section does, and
    nowhere else. `adds_noise` False: `latent` carries its noise already. `last_step`: stop there,
    None to walk to the end; the last step then leads straight to no noise, unless `leaves_noise`. `climbs`: the same
    noise levels upwards, from a clean latent to the noise that the model would have made it of; with `adds_noise`
    False. `told`: the (width, height) that networks are told which want to know it, where that is not the walk's own.
    `batch`: the picture among those of its job. `name`: `base`, `refiner`, `segment` …
    """

    input: GenerationInput
    model: ModelFile
    seed: int
    loras: tuple[LoraUse, ...] = ()
    confined: tuple[LoraUse, ...] = ()
    parts: Mapping[str, ModelFile] = field(default_factory=dict)
    files: Mapping[str, ModelFile] = field(default_factory=dict)
    variation_seed: int | None = None
    latent: Any = None
    first_step: int = 0
    last_step: int | None = None
    leaves_noise: bool = False
    adds_noise: bool = True
    climbs: bool = False
    told: tuple[int, int] | None = None
    batch: Batch = ALONE
    name: str = "base"

    @property
    def first_seed(self) -> int:
        """The seed of this walk for the first picture of the job."""
        return self.seed - self.batch.ahead

    def with_input(self, input: GenerationInput) -> Pass:
        """The same walk for another request."""
        return replace(self, input=input)

    def ending(self, last_step: int, *, leaves_noise: bool) -> Pass:
        """The same walk, cut off at a step."""
        return replace(self, last_step=last_step, leaves_noise=leaves_noise)

    def starting(self, latent: Any) -> Pass:
        """The same walk from a latent."""
        return replace(self, latent=latent)


class StageTools(Protocol):
    """What the engine does for stage functions."""

    def encode_tensor(self, image: Any) -> Any:
        """An image (1, 3, H, W), 0 to 1, as a clean latent in the model's scale."""

    def image(self, picture: Picture, *, width: int, height: int, mode: str = "RGB") -> Any:
        """A picture stretched to width × height as a tensor (1, C, H, W), 0 to 1, on the CPU; RGB, RGBA or L. What is
        Drawn is answered as it is."""

    def pixels(self, picture: Picture, *, width: int, height: int) -> Pixels:
        """A picture stretched to width × height."""

    def encode_text(self, text: str, loras: tuple[LoraUse, ...] = ()) -> Conditioning:
        """A prompt, as the walk's own encoder says it; `loras` act on it, and will when it is told to the model."""

    def timestep(self, sigma: float) -> float:
        """The timestep that the model is told for a noise level."""

    @property
    def sigma_min(self) -> float:
        """The lowest noise level the model was trained on."""

    def inpaint_channels(self, latent: Any, mask: Any) -> Any:
        """What an inpainting model sees beside x: made of the latent of the picture without its masked area and of the
        mask (1, 1, H, W), 1 where it is to be filled, in pixels. None for other models."""

    @property
    def is_led(self) -> bool:
        """Whether the model sees the latent of the init image beside x, and draws from nothing."""

    def predict(self, x: Any, sigma: float, told: Sequence[Conditioning], *, variant: str = "") -> Any:
        """One more model call for each part of a prompt, outside the batch: the clean latent predicted for `x` at
        `sigma`."""

    def check_control(self, file: ModelFile) -> None:
        """Raises BadInput with a sentence when a file is no ControlNet for the walk's model."""

    def image_words(self, adapter: ModelFile, encoder: ModelFile, pictures: Sequence[Picture]) -> tuple[Any, Any]:
        """Pictures in the words of an IP-Adapter, and no picture in as many words: (1, n, width) each. Raises
        BadInput with a sentence when the files do not fit."""

    def face_words(
        self,
        adapter: ModelFile,
        encoder: ModelFile | None,
        faces: ModelFile,
        identity: ModelFile,
        pictures: Sequence[Picture],
        shortcut: float | None,
    ) -> tuple[Any, Any]:
        """The faces in pictures in the words of an IP-Adapter for faces, and nobody in as many words: (1, n, width)
        each. `shortcut`: how loud what CLIP sees is beside whose face it is; None for adapters that say both in one.
        Raises BadInput with a sentence."""

    def image_summary(self, encoder: ModelFile, pictures: Sequence[Picture]) -> Any:
        """What a CLIP image encoder says of pictures, added up: (1, width). Raises BadInput with a sentence."""

    def style_words(self, style: ModelFile, encoder: ModelFile, pictures: Sequence[Picture]) -> Any:
        """Pictures as tokens of the prompt, made by a style model: (1, n, width). Raises BadInput with a sentence when
        the files do not fit."""

    def has_variant(self, variant: str) -> bool:
        """Whether the network can be run that way."""

    def last_attention(self) -> Any:
        """What the last call of a watching variant saw of the prompt's first part: (heads, places, places)."""

    def network(self, kind: str, file: ModelFile) -> Any:
        """A network beside the model, as `jobs.acts.WorkTools.network` answers it."""

    def remembered(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What `make` makes, made once for equal keys while it is among the latest: what pictures of one request need
        alike. On the CPU; not to be changed."""

    @property
    def family(self) -> str:
        """Compat class id of the model."""

    @property
    def architecture(self) -> Architecture:
        """The model's family."""


@dataclass(kw_only=True)
class StageContext:
    """One walk of one picture. Stage functions read and replace the fields that are set at their point.

    `latent`: what denoising starts from, before noise: (1, C, h, w) float32. `noise`: standard normal, same shape.
    `sigmas`: the noise levels to walk down, the last is 0. `first_step`: how many steps of the whole schedule a stage
    has cut off its begin. `step`: which of `sigmas` the model was asked at. `result`: a stage at START may set it to
    skip sampling and decoding altogether. `concat`: channels beside the latent that inpainting and edit models see.
    `guidance`: the number that guidance-distilled models are told, None for the family's own. `is_flow`: x is
    sigma * noise + (1 - sigma) * clean instead of clean + sigma * noise. `texts`: both prompts at this step, with their
    sections. `batch`: whose part of the noise of steps the walk takes. `memory`: for a feature's own notes.
    """

    input: GenerationInput
    of: Pass
    seed: int
    width: int
    height: int
    steps: int
    tools: StageTools
    files: Mapping[str, ModelFile] = field(default_factory=dict)
    is_flow: bool = False
    texts: tuple[str, str] = ("", "")
    positive: list[Conditioning] = field(default_factory=list)
    negative: list[Conditioning] = field(default_factory=list)
    latent: Any = None
    noise: Any = None
    sigmas: list[float] = field(default_factory=list)
    first_step: int = 0
    concat: Any = None
    batch: Batch = ALONE
    controls: list[Control] = field(default_factory=list)
    guidance: float | None = None
    step: int = 0
    sigma: float = 0.0
    x: Any = None
    cond: Any = None
    uncond: Any = None
    denoised: Any = None
    result: Pixels | None = None
    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StageFunction:
    """A feature's act at one point. It runs for pictures whose request sets `when`; lower `order` runs earlier.

    `wants_negative`: the negative prompt is asked for also where guidance needs none (a CFG scale of 1).
    """

    id: str
    stage: Stage
    order: int
    when: Param[Any]
    run: Callable[[StageContext], None]
    wants_negative: bool = False


def stage(
    point: Stage, *, order: int, when: Param[Any], wants_negative: bool = False
) -> Callable[[Callable[[StageContext], None]], StageFunction]:
    """Declare the decorated function as an act at `point`, for requests that set `when`."""

    def declare(run: Callable[[StageContext], None]) -> StageFunction:
        id = f"{point.value}.{run.__name__}"
        return StageFunction(id=id, stage=point, order=order, when=when, run=run, wants_negative=wants_negative)

    return declare


@dataclass(frozen=True, kw_only=True)
class Patched:
    """What a patch may change: the modules of a loaded model. `text`: its text encoders.

    `tiles(tile, overlap)`: have the VAE work in tiles of so many pixels; `untile()` undoes it. `compiled(blocks,
    backend)`: have blocks of the denoiser run compiled as soon as they are, and return what undoes that.
    """

    denoiser: Any
    vae: Any
    text: tuple[Any, ...]
    tiles: Callable[[int, int], None]
    untile: Callable[[], None]
    compiled: Callable[[Sequence[Any], str], Callable[[], None]] = lambda _blocks, _backend: lambda: None


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A change of a model's modules while pictures that ask for it run (FreeU, seamless tiling …).

    Pictures share model calls only when their patches have equal keys. `key(pass)`: everything `apply` has to know,
    hashable; None when this walk is not concerned. `apply(modules, key)` returns what undoes it, to the last bit.
    """

    id: str
    order: int
    when: Param[Any]
    key: Callable[[Pass], Hashable]
    apply: Callable[[Patched, Any], Callable[[], None]]
