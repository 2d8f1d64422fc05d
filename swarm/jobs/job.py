"""What crosses to a backend: one picture request, with every name resolved and every random choice made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from swarm.params.input import GenerationInput


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A model on this machine's disk.

    `name`: as the catalog spells it, extension included. `family`: id of its Architecture, None if unknown.
    `path`: a single file, or a diffusers folder. `stamp`: changes when the file changes (mtime and size).
    `width`, `height`: the size its pictures are best at, 0 if unknown. `latent_space`: models with the same one
    understand each other's latents. `prediction`: what its metadata says it predicts (`v`, `v-zsnr`, `epsilon` …), ""
    if nothing. `remote`: it is on another machine only, and no path of this one. `companions`: what completes it when
    it is loaded ahead of a job, by slot (see `Job.parts`).
    """

    name: str
    path: Path
    family: str | None
    stamp: str
    width: int = 0
    height: int = 0
    latent_space: str = ""
    prediction: str = ""
    remote: bool = False
    companions: tuple[tuple[str, ModelFile], ...] = ()


@dataclass(frozen=True, kw_only=True)
class LoraUse:
    """A LoRA and how strongly it acts on the denoiser and on the text encoders (1.0 is as trained).

    `section`: the prompt section it is confined to (swarm-t2i 9.15); -1 acts everywhere.
    """

    file: ModelFile
    weight: float
    text_weight: float
    section: int = -1


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything a backend needs to make the pictures of one task.

    `input`: the request with prompts expanded, width and height resolved (WIDTH/HEIGHT always given), SEED fixed, and
    all parameters that features read. One task makes `len(seeds)` pictures (its batch size); picture k uses `seeds[k]`
    and, when a variation is asked, `variation_seeds[k]`. `parts`: files that complete or replace components of the
    model, by slot (`vae`, `clip_l`, `clip_g`, `t5xxl`, `qwen` …). `files`: every other model file that features asked
    for, by the id of the parameter that names it or by the name the feature gave it (jobs.needs). `others`: (set, name)
    of the models that the request names besides the main one; whoever takes the job must have them.
    """

    id: str
    input: GenerationInput
    model: ModelFile | None
    loras: tuple[LoraUse, ...] = ()
    parts: Mapping[str, ModelFile] = field(default_factory=lambda: MappingProxyType({}))
    files: Mapping[str, ModelFile] = field(default_factory=lambda: MappingProxyType({}))
    seeds: tuple[int, ...]
    variation_seeds: tuple[int, ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    wants_previews: bool = True
    user_id: str = ""
