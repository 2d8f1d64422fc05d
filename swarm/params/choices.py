"""What parameters may ask the server for while they parse and describe themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Choices(Protocol):
    """Answers to "which values are there now?", already narrowed to what the asking user may see."""

    def models(self, subtype: str) -> Sequence[str] | None:
        """Names with extension of a model set (`Stable-Diffusion`, `LoRA` …), sorted; None for an unknown set."""

    def files(self, folder: str, suffixes: Sequence[str]) -> Sequence[str]:
        """Names of the files in a plain folder below the models folders (`upscale_models` …) that end in one of
        `suffixes`, folders included, sorted; empty when there is none."""

    def samplers(self) -> Sequence[tuple[str, str]]:
        """(id, display name), in dropdown order."""

    def schedules(self) -> Sequence[tuple[str, str]]:
        """(id, display name), in dropdown order."""

    def backend_types(self) -> Sequence[tuple[str, str]]:
        """(type id, display name) of the kinds of backend."""

    def backends(self) -> Sequence[tuple[str, str]]:
        """(backend id as text, title) of the configured backends."""

    def read_picture(self, path: str) -> tuple[bytes, str] | None:
        """Bytes and mime of a file in the user's output folder (`inputs/…`, `raw/…`, `Starred/…`); None if absent.

        Raises BadInput when the path leads out of that folder.
        """
