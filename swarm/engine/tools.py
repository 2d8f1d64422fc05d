"""What the engine does for stage functions (jobs.stage.StageTools)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

import torch

from swarm.architectures.architecture import Architecture
from swarm.base.errors import BadInput
from swarm.engine.components import Components
from swarm.engine.control.face_words import FaceWordMaker
from swarm.engine.control.image_words import summary
from swarm.engine.decode import as_pixels, as_tensor, encode
from swarm.engine.device import Device
from swarm.engine.errands import Errands
from swarm.engine.loras.branches import Branches
from swarm.engine.parts import mixed
from swarm.engine.prompts import text_options
from swarm.jobs.job import LoraUse, ModelFile
from swarm.jobs.stage import Conditioning, Pass
from swarm.media.image import Drawn, Picture, Pixels
from swarm.media.stretched import opened

Predict: TypeAlias = Callable[[torch.Tensor, float, Conditioning, str], tuple[torch.Tensor, Any]]
"""`predict(x, sigma, conditioning, variant)`: the clean latent, by a model call of its own, and what a variant saw."""

_FACE_WORDS = FaceWordMaker()


class Loaded(Protocol):
    """A loaded model. `errands`: networks beside it."""

    @property
    def components(self) -> Components: ...

    @property
    def branches(self) -> Branches: ...

    @property
    def device(self) -> Device: ...

    @property
    def errands(self) -> Errands: ...


class Tools:
    """Tools for one walk."""

    def __init__(self, model: Loaded, of: Pass, predict: Predict) -> None:
        self._components = model.components
        self._branches = model.branches
        self._device = model.device
        self._errands = model.errands
        self._of = of
        self._predict = predict
        self._seen: Any = None

    @property
    def family(self) -> str:
        return self._components.architecture.compat.id

    @property
    def architecture(self) -> Architecture:
        return self._components.architecture

    def encode_tensor(self, image: torch.Tensor) -> torch.Tensor:
        return encode(self._components, self._device, image)

    def image(self, picture: Picture, *, width: int, height: int, mode: str = "RGB") -> torch.Tensor:
        if isinstance(picture, Drawn):
            seen: torch.Tensor = picture.image
            return seen
        return as_tensor(opened(picture, width, height, mode))

    def pixels(self, picture: Picture, *, width: int, height: int) -> Pixels:
        if isinstance(picture, Drawn):
            return as_pixels(picture.image)[0]
        image = opened(picture, width, height)
        return Pixels(width=width, height=height, mode="RGB", data=image.tobytes())

    def encode_text(self, text: str, loras: tuple[LoraUse, ...] = ()) -> Conditioning:
        options = text_options(self._of)
        if not loras:
            return self._components.text.encode(text, options)
        with self._branches.acting(loras):
            return replace(self._components.text.encode(text, replace(options, loras=loras)), loras=loras)

    def timestep(self, sigma: float) -> float:
        return self._components.table.nearest_t(sigma)

    @property
    def sigma_min(self) -> float:
        return self._components.table.sigma_min

    def inpaint_channels(self, latent: torch.Tensor, mask: torch.Tensor) -> torch.Tensor | None:
        return self._components.adapter.inpaint_channels(self._components.denoiser, latent, mask)

    @property
    def is_led(self) -> bool:
        return self._components.adapter.is_led(self._components.denoiser)

    def predict(
        self, x: torch.Tensor, sigma: float, told: Sequence[Conditioning], *, variant: str = ""
    ) -> torch.Tensor:
        predicted, seen = zip(*(self._predict(x, sigma, one, variant) for one in told), strict=True)
        self._seen = seen[0]
        return mixed(torch.cat(predicted), told)

    def check_control(self, file: ModelFile) -> None:
        check = self._components.adapter.check_control
        if check is None:
            raise BadInput(f"ControlNets cannot be used with {self.architecture.name} models on this server.")
        check(file, self._components.denoiser)

    def image_words(self, adapter: ModelFile, encoder: ModelFile, pictures: Sequence[Picture]) -> tuple[Any, Any]:
        make = self._components.adapter.image_words
        if make is None:
            raise BadInput(f"IP-Adapters cannot be used with {self.architecture.name} models on this server.")
        return make(adapter, encoder, pictures, self._components.denoiser, self._device)

    def face_words(
        self,
        adapter: ModelFile,
        encoder: ModelFile | None,
        faces: ModelFile,
        identity: ModelFile,
        pictures: Sequence[Picture],
        shortcut: float | None,
    ) -> tuple[Any, Any]:
        if self._components.adapter.image_words is None:
            raise BadInput(f"IP-Adapters cannot be used with {self.architecture.name} models on this server.")
        nets = self.network("faces", faces), self.network("identity", identity)
        unet = self._components.denoiser
        return _FACE_WORDS.words(adapter, encoder, nets, pictures, shortcut, unet, self._device)

    def image_summary(self, encoder: ModelFile, pictures: Sequence[Picture]) -> torch.Tensor:
        return summary(encoder, pictures, self._device)

    def style_words(self, style: ModelFile, encoder: ModelFile, pictures: Sequence[Picture]) -> torch.Tensor:
        make = self._components.adapter.style_words
        if make is None:
            raise BadInput(f"Style models cannot be used with {self.architecture.name} models. They are for Flux.1.")
        width: Any = self._components.denoiser.config.joint_attention_dim  # type: ignore[union-attr]
        return make(style, encoder, pictures, int(width), self._device)

    def network(self, kind: str, file: ModelFile) -> Any:
        return self._errands.network(kind, file)

    def remembered(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        return self._errands.remembered(key, make)

    def has_variant(self, variant: str) -> bool:
        return variant in self._components.adapter.variants

    def last_attention(self) -> torch.Tensor:
        attention: torch.Tensor = self._seen.seen
        return attention
