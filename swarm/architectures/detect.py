"""Which class of model a header belongs to: what it says itself first, then the families' rules. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from swarm.architectures.architecture import Architecture
from swarm.architectures.header import Header
from swarm.architectures.order import rank
from swarm.architectures.remaps import REMAPS
from swarm.architectures.rules import is_lora

_KEYS = ("modelspec.architecture", "architecture", "general.architecture", "model_type", "ss_network_module")
GENERIC_PIPELINE = "diffusers-pipeline"


@dataclass(frozen=True, kw_only=True)
class Detection:
    """`found`: the class, None when nothing fits. `reasons`: how it was told, and what else would have fitted."""

    found: Architecture | None
    reasons: tuple[str, ...]


def detect(header: Header, architectures: Mapping[str, Architecture]) -> Detection:
    """The class of a file or diffusers folder (swarm-models-backends 2.1)."""
    pipeline = header.metadata.get("diffusers.pipeline")
    if pipeline is not None:
        return _by_pipeline(pipeline, header.metadata.get("diffusers.text_width"), architectures)
    said = said_class(header.metadata, architectures)
    if said is not None:
        return Detection(found=said, reasons=(f"its metadata says {said.id}",))
    return _by_rules(header, architectures)


def said_class(metadata: Mapping[str, str], architectures: Mapping[str, Architecture]) -> Architecture | None:
    """The class that metadata names, through the known other spellings; None when it names none we know."""
    said = next((metadata[key].strip() for key in _KEYS if metadata.get(key, "").strip()), "")
    return find_class(said, architectures)


def find_class(id: str, architectures: Mapping[str, Architecture]) -> Architecture | None:
    """A class by id in any case, or by one of the other spellings in use."""
    lowered = id.lower()
    lowered = REMAPS.get(lowered, lowered).lower()
    return next((found for found in architectures.values() if found.id.lower() == lowered), None)


def _by_rules(header: Header, architectures: Mapping[str, Architecture]) -> Detection:
    lora = is_lora(header)
    matches = [
        architecture
        for architecture in architectures.values()
        if architecture.detect is not None and architecture.is_lora == lora and architecture.detect(header)
    ]
    if not matches:
        return Detection(found=None, reasons=("no known family has these tensors",))
    found, *others = sorted(matches, key=lambda architecture: rank(architecture.id))
    reasons = [f"its tensors are those of {found.id}", *(f"{other.id} would fit as well" for other in others)]
    return Detection(found=found, reasons=tuple(reasons))


def _by_pipeline(pipeline: str, text_width: str | None, architectures: Mapping[str, Architecture]) -> Detection:
    fitting = [found for found in architectures.values() if found.pipeline == pipeline]
    exact = [found for found in fitting if text_width is not None and str(found.text_width) == text_width]
    best = next(iter(exact or fitting), architectures.get(GENERIC_PIPELINE))
    return Detection(found=best, reasons=(f"it is a folder for {pipeline}",))
