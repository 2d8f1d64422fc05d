"""What may happen to a picture between walks: refining, upscaling, segments. A picture asks, as a sampler does.

An act is a generator. It yields asks and is sent the answers, so the engine can hold many pictures at different points
and give the device to what shares it best. A picture without acts is one walk and one decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from swarm.jobs.job import Job, ModelFile
from swarm.jobs.stage import Pass
from swarm.media.clip import Clip
from swarm.media.image import Picture, Pixels
from swarm.params.input import GenerationInput
from swarm.params.param import Param


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Walk. Answered by the latent (1, C, h, w) it ends with, in the model's scale, on the device; or by Pixels when a
    stage has answered without sampling."""

    of: Pass


@dataclass(frozen=True, kw_only=True, eq=False)
class Decode:
    """A latent of `of`'s model as an image. Answered by (1, 3, H, W), 0 to 1, float32 on the CPU; by Pixels when
    `as_pixels` is set, for a picture's end."""

    latent: Any
    of: Pass
    as_pixels: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Encode:
    """An image (1, 3, H, W), 0 to 1, as a clean latent for `of`'s model. Answered by (1, C, h, w)."""

    image: Any
    of: Pass


class WorkTools(Protocol):
    """What the engine does for device work that is not a walk."""

    @property
    def device(self) -> Any:
        """The torch device to compute on."""

    def keep(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """A network (or anything with `.to`) that is loaded once and kept while there is room; `make` loads it."""

    def network(self, kind: str, file: ModelFile) -> Any:
        """A network of a kind the engine knows (`upscaler`, `words`, `detector`, `cutter`), read from a file and kept.

        Raises BadInput for a file that is none. What it is called with is said where that kind is declared.
        """

    def image(self, picture: Picture, *, width: int = 0, height: int = 0, mode: str = "RGB") -> Any:
        """A picture as a tensor (1, C, H, W), 0 to 1, stretched to a size if one is given."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """Other device work: an upscaler, a detector. Runs alone. Answered by what `run` returns."""

    name: str
    run: Callable[[WorkTools], Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Film:
    """A clip that begins with an image (1, 3, H, W), 0 to 1, by `of`'s model as a whole pipeline.

    Where `overlap` is given, it goes on from `before` (from the image where there is no clip yet), shares at most so
    many frames with it, and is answered as one clip with it. Answered by a Clip, or by Pixels when one frame was asked
    for.
    """

    image: Any
    of: Pass
    before: Clip | Pixels | None = None
    overlap: int | None = None


Ask: TypeAlias = Sample | Decode | Encode | Work | Film
Asking: TypeAlias = Generator[Ask, Any, None]


@dataclass(kw_only=True)
class Making:
    """A picture in the making, as acts see it. Exactly one of `latent`, `image`, `clip` is set after the base walk.

    `image`: (1, 3 or 4, H, W), 0 to 1, float32 on the CPU; alpha last. `base`: the walk `latent` came from (its model
    decodes it). `extras`: further pictures to hand out before the result (intermediate ones, masks).
    """

    job: Job
    index: int
    base: Pass
    latent: Any = None
    image: Any = None
    clip: Clip | Pixels | None = None
    extras: list[Pixels] = field(default_factory=list)

    def as_image(self) -> Generator[Ask, Any, Any]:
        """`image = yield from making.as_image()`: decoded now if it has not been; `latent` is given up."""
        if self.image is None:
            self.image = yield Decode(latent=self.latent, of=self.base)
            self.latent = None
        return self.image


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something done to a picture after its base walk, or before it (`opens`): then `Making.base` is yet to be walked,
    and may be replaced. Runs for requests that set `when`; lower `order` runs earlier.

    `steps(input)`: how many steps its walks take, for the progress bar. `prepare(base)`: what it changes about the base
    walk before that begins (a refiner that takes over early sets `last_step`).
    """

    id: str
    order: int
    when: Param[Any]
    run: Callable[[Making], Asking]
    steps: Callable[[GenerationInput], int]
    prepare: Callable[[Pass], Pass] | None = None
    opens: bool = False


def act(
    *,
    order: int,
    when: Param[Any],
    steps: Callable[[GenerationInput], int] = lambda _input: 0,
    prepare: Callable[[Pass], Pass] | None = None,
    opens: bool = False,
) -> Callable[[Callable[[Making], Asking]], Act]:
    """Declare the decorated generator function as an act."""

    def declare(run: Callable[[Making], Asking]) -> Act:
        return Act(id=run.__name__, order=order, when=when, run=run, steps=steps, prepare=prepare, opens=opens)

    return declare
