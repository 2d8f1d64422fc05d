"""What a model family is: how its files are recognised, how the wire names it, and what the engine needs to run it.

One class of file is one `Architecture`: checkpoints, and also the LoRAs, VAEs, ControlNets and embeddings for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from swarm.architectures.header import Header
from swarm.base.json import JsonObject
from swarm.diffusion.sigmas import SigmaTable

Detector: TypeAlias = Callable[[Header], bool]


@dataclass(frozen=True, kw_only=True)
class LatentFormat:
    """The space a family's VAE encodes into: stored latent = (encoded - shift) * scale.

    `rgb_factors`: one (red, green, blue) row per channel, `rgb_bias` added; they turn a stored latent into rough pixels
    from -1 to 1, one for each latent position. Empty when nobody has fitted them; a quarter as many rows as channels
    where a position is a patch of two by two cells and each of these is a pixel. `downscale`: pixels per position.
    """

    channels: int
    scale: float
    shift: float = 0.0
    rgb_factors: tuple[tuple[float, float, float], ...] = ()
    rgb_bias: tuple[float, float, float] = (0.0, 0.0, 0.0)
    downscale: int = 8


@dataclass(frozen=True, kw_only=True)
class CompatClass:
    """Files of one compat class work together: a LoRA with a checkpoint, for instance (swarm-t2i 2.2)."""

    id: str
    short_code: str
    loras_target_text_enc: bool = True
    is_text2video: bool = False
    is_image2video: bool = False
    is_audio_model: bool = False
    has_joint_av_latents: bool = False
    resolution_precision: int = 16
    vae_family: str | None = None

    def to_wire(self) -> JsonObject:
        return {
            "id": self.id,
            "short_code": self.short_code,
            "loras_target_text_enc": self.loras_target_text_enc,
            "is_text2video": self.is_text2video,
            "is_image2video": self.is_image2video,
            "is_audio_model": self.is_audio_model,
            "has_joint_av_latents": self.has_joint_av_latents,
            "resolution_precision": self.resolution_precision,
            "vae_family": self.vae_family,
        }


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A class of model file.

    `id`: the wire's class id. `detect`: the rule over a header, None for classes known by metadata only.
    The rest is for checkpoints: `latent` None means this file alone makes no pictures.
    `prediction`: a kind of diffusion/prediction.py. `pipeline`: the diffusers class that runs it whole.
    `adapter`: id of the engine's Adapter that runs it in the batched tier; None = whole pipelines only.
    `beta_start`, `beta_end`, `train_steps`, `zero_snr`: the training schedule; `flow_shift` instead, for flow models.
    `even_betas`: betas are evenly spaced, and not their square roots.
    `shift_grows`: a shift that is asked for is the exponent of the shift at 1024x1024, and grows with the size.
    `takes_references`: edit models, which look at pictures while they draw. `reference_pixels`: how many these like in
    each (0: as many as it comes with); `references_follow_result`: as many as the result has, where that is less.
    `negative_references`: the negative prompt comes with the pictures too. `looks_at_init`: the init image is one where
    there is no other.
    `text_encoders`: their names in the order the denoiser wants them. `text_width`: of the prompt embedding.
    """

    id: str
    name: str
    compat: CompatClass
    standard_width: int
    standard_height: int
    detect: Detector | None = None
    latent: LatentFormat | None = None
    prediction: str = "epsilon"
    pipeline: str = ""
    adapter: str | None = None
    beta_start: float = 0.00085
    beta_end: float = 0.012
    train_steps: int = 1000
    zero_snr: bool = False
    even_betas: bool = False
    flow_shift: float | None = None
    shift_grows: bool = False
    default_sampler: str = "euler"
    default_schedule: str = "normal"
    takes_references: bool = False
    reference_pixels: int = 0
    references_follow_result: bool = False
    negative_references: bool = False
    looks_at_init: bool = False
    text_encoders: tuple[str, ...] = ()
    text_width: int | None = None

    @property
    def is_lora(self) -> bool:
        """LoRA rules and the others are tried on different files (swarm-models-backends 2.1)."""
        return "/lora" in self.id or "/control-lora" in self.id

    @property
    def makes_pictures(self) -> bool:
        return self.latent is not None

    @property
    def hears_embeddings(self) -> bool:
        """Whether textual inversions mean anything to it: CLIP's are read, by the batched tier."""
        return self.adapter is not None and any(name.startswith("clip") for name in self.text_encoders)

    def sigma_table(self, *, zero_snr: bool | None = None, flow_shift: float | None = None) -> SigmaTable:
        """The training sigmas; both arguments override the family's own."""
        shift = flow_shift if flow_shift is not None else self.flow_shift
        if shift is not None:
            return SigmaTable.flow(shift, self.train_steps)
        zero = self.zero_snr if zero_snr is None else zero_snr
        spaced = SigmaTable.linear if self.even_betas else SigmaTable.scaled_linear
        return spaced(self.beta_start, self.beta_end, self.train_steps, zero_snr=zero)

    def to_wire(self) -> JsonObject:
        return {
            "id": self.id,
            "name": self.name,
            "compat_class": self.compat.id,
            "standard_width": self.standard_width,
            "standard_height": self.standard_height,
        }


def wire_classes(architectures: Iterable[Architecture]) -> dict[str, JsonObject]:
    """`model_classes` of ListT2IParams: every class by id."""
    return {architecture.id: architecture.to_wire() for architecture in architectures}


def wire_compat_classes(architectures: Iterable[Architecture]) -> dict[str, JsonObject]:
    """`model_compat_classes` of ListT2IParams: every compat class by id."""
    return {architecture.compat.id: architecture.compat.to_wire() for architecture in architectures}
