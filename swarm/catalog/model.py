"""What the catalog knows of one model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swarm.architectures.architecture import Architecture
from swarm.catalog.sets import NATIVE, extension


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What the file and its sidecars say, for people. None = they do not say (swarm-models-backends 1.4).

    `preview`: True when a picture is embedded in the metadata; the picture itself stays in the cache.
    """

    title: str | None = None
    author: str | None = None
    description: str | None = None
    width: int = 0
    height: int = 0
    license: str | None = None
    date: str | None = None
    prediction_type: str | None = None
    usage_hint: str | None = None
    trigger_phrase: str | None = None
    merged_from: str | None = None
    tags: tuple[str, ...] | None = None
    is_negative_embedding: bool = False
    lora_default_weight: str = ""
    lora_default_confinement: str = ""
    hash: str = ""
    special_format: str = ""
    preview: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A model file, or a diffusers folder, in one set.

    `name`: relative path with `/` and extension. `found_in`: the set folder it was found through.
    `problem`: the sentence to answer with when someone wants to use it, None for a good one.
    `preview_file`: a picture lying beside it.
    """

    subtype: str
    name: str
    path: Path
    found_in: Path
    mtime_ns: int
    created_ns: int
    size: int
    info: ModelInfo
    architecture: Architecture | None = None
    problem: str | None = None
    preview_file: Path | None = None
    is_folder: bool = False
    is_remote: bool = False

    @property
    def stamp(self) -> str:
        """Changes when the file changes."""
        return f"{self.mtime_ns}-{self.size}"

    @property
    def title(self) -> str | None:
        return self.info.title

    @property
    def is_native(self) -> bool:
        """Whether its format carries metadata and can be loaded without unpickling."""
        return self.is_folder or extension(self.name) in NATIVE

    @property
    def width(self) -> int:
        """The size it is meant for: its own word, else its family's, else 0."""
        return self.info.width or (self.architecture.standard_width if self.architecture else 0)

    @property
    def latent_space(self) -> str:
        """Models with the same one understand each other's latents; "" for a model of no known family."""
        compat = self.architecture.compat if self.architecture else None
        return "" if compat is None else compat.vae_family or compat.id

    @property
    def height(self) -> int:
        return self.info.height or (self.architecture.standard_height if self.architecture else 0)
