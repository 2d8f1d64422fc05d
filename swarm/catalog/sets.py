"""The seven model sets, their folders, and which files count as models (swarm-models-backends 1.1, 1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

CHECKPOINTS = "Stable-Diffusion"
NATIVE = ("safetensors", "sft", "engine", "gguf")
LEGACY = ("ckpt", "pt", "pth", "bin")
BARE_DENOISERS = ("unet", "diffusion_models")
NO_MODEL = "(None)"


@dataclass(frozen=True, kw_only=True)
class ModelSet:
    """`folders`: below each models root; the first is where new files go."""

    id: str
    folders: tuple[str, ...]


SETS = (
    ModelSet(id=CHECKPOINTS, folders=("Stable-Diffusion", "tensorrt", "diffusion_models", "unet")),
    ModelSet(id="VAE", folders=("VAE",)),
    ModelSet(id="LoRA", folders=("Lora",)),
    ModelSet(id="Embedding", folders=("Embeddings",)),
    ModelSet(id="ControlNet", folders=("controlnet", "model_patches")),
    ModelSet(id="Clip", folders=("text_encoders", "clip")),
    ModelSet(id="ClipVision", folders=("clip_vision",)),
)


_ALWAYS: Mapping[str, tuple[str, ...]] = {CHECKPOINTS: SETS[0].folders[1:]}


def sets_with(folders: Mapping[str, str]) -> tuple[ModelSet, ...]:
    """The sets with other folders, given by set id and separated by `;`; an empty text leaves a set as it is.

    A folder may be absolute; it then stands for itself, whatever the models root.
    """
    return tuple(_with(one, folders.get(one.id, "")) for one in SETS)


def _with(one: ModelSet, folders: str) -> ModelSet:
    given = [part.strip() for part in folders.split(";") if part.strip()]
    return replace(one, folders=tuple(dict.fromkeys([*given, *_ALWAYS.get(one.id, ())]))) if given else one


def extension(name: str) -> str:
    """What follows the last dot of the file name, as written; empty without one."""
    base = name.rpartition("/")[2]
    return base.rpartition(".")[2] if "." in base else ""


def stem(name: str) -> str:
    """The name without its extension."""
    ending = extension(name)
    return name[: -len(ending) - 1] if ending else name


def clean_name(name: str) -> str:
    """As parameters and dropdowns spell it: `.safetensors` left out, other extensions kept."""
    return name.removesuffix(".safetensors")
