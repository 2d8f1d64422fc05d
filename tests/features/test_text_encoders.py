"""Which files go beside a model that is only a denoiser: found by their usual names, unless the request names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from swarm.architectures.architecture import Architecture
from swarm.architectures.families.flux_1 import CHROMA, FLUX_DEV
from swarm.architectures.families.stable_diffusion_v3 import SD3_MEDIUM
from swarm.architectures.families.stable_diffusion_xl import SDXL
from swarm.features.text_encoders import CLIP_L_MODEL, companions
from swarm.jobs.job import ModelFile
from swarm.params.input import GenerationInput

FAMILIES = {family.id: family for family in (FLUX_DEV, CHROMA, SD3_MEDIUM, SDXL)}


@dataclass(frozen=True)
class Shelf:
    """Model files by type, without a disk. `inside`: names of the tensors that every model has."""

    clips: Sequence[str] = ()
    vaes: Sequence[str] = ()
    inside: Sequence[str] = field(default=())

    def find(self, subtype: str, name: str) -> ModelFile | None:
        return ModelFile(name=name, path=Path(name), family=None, stamp="1") if name in self.names(subtype) else None

    def names(self, subtype: str) -> Sequence[str]:
        return {"Clip": self.clips, "VAE": self.vaes}.get(subtype, ())

    def folder(self, subtype: str) -> Path:
        return Path(subtype)

    def beside(self, relative: str) -> ModelFile | None:
        return None

    def holds(self, file: ModelFile, *prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in self.inside)

    def architecture(self, file: ModelFile) -> Architecture | None:
        return FAMILIES.get(file.family or "")


def found(shelf: Shelf, family: Architecture | None, **values: object) -> dict[str, str]:
    file = ModelFile(name="model", path=Path("model"), family=None if family is None else family.id, stamp="1")
    parts = companions.find(GenerationInput(values), file, shelf).parts
    return {slot: part.name for slot, part in parts.items()}


EVERYTHING = Shelf(
    clips=("t5xxl_fp16.safetensors", "folder/clip_l.safetensors", "clip_g.safetensors", "t5xxl_enconly.safetensors"),
    vaes=("Flux/ae.safetensors", "OfficialStableDiffusion/sdxl_vae.safetensors", "sd35_vae.safetensors"),
)
CLIP_L, CLIP_G, T5 = "folder/clip_l.safetensors", "clip_g.safetensors", "t5xxl_enconly.safetensors"
SDXL_VAE = "OfficialStableDiffusion/sdxl_vae.safetensors"


@pytest.mark.parametrize(
    ("family", "wanted"),
    [
        (FLUX_DEV, {"clip_l": CLIP_L, "t5xxl": T5, "vae": "Flux/ae.safetensors"}),
        (CHROMA, {"t5xxl": T5, "vae": "Flux/ae.safetensors"}),
        (SD3_MEDIUM, {"clip_l": CLIP_L, "clip_g": CLIP_G, "t5xxl": T5, "vae": "sd35_vae.safetensors"}),
        (SDXL, {"clip_l": CLIP_L, "clip_g": CLIP_G, "vae": SDXL_VAE}),
    ],
    ids=lambda value: getattr(value, "id", ""),
)
def test_a_bare_denoiser_gets_what_its_family_wants(family: Architecture, wanted: dict[str, str]) -> None:
    assert found(EVERYTHING, family) == wanted


def test_what_the_model_has_is_left_alone() -> None:
    shelf = Shelf(
        clips=EVERYTHING.clips,
        vaes=EVERYTHING.vaes,
        inside=("vae.decoder.conv_in.weight", "text_encoders.t5xxl.transformer.shared.weight"),
    )
    assert found(shelf, FLUX_DEV) == {"clip_l": CLIP_L}


def test_what_the_request_names_is_left_to_it() -> None:
    assert "clip_l" not in found(EVERYTHING, FLUX_DEV, **{CLIP_L_MODEL.id: "mine.safetensors"})


def test_other_names_are_known_by_their_parts() -> None:
    shelf = Shelf(clips=("my-t5xxl-q8.gguf", "ViT clip-l tuned.safetensors"), vaes=("unknown.safetensors",))
    assert found(shelf, FLUX_DEV) == {"clip_l": "ViT clip-l tuned.safetensors", "t5xxl": "my-t5xxl-q8.gguf"}


def test_nothing_is_looked_for_without_a_known_family() -> None:
    assert found(EVERYTHING, None) == {}
    assert companions.find(GenerationInput({}), None, EVERYTHING).parts == {}
