"""Text encoders and VAEs of models that come without them: named by the request, else found by their usual names."""

from __future__ import annotations

from collections.abc import Mapping

from swarm.access.permissions import MODEL_PARAMS
from swarm.architectures.architecture import Architecture
from swarm.architectures.companions import TEXT_ENCODERS, VAES, Companion
from swarm.features.groups import ADVANCED_MODEL_ADDONS_GROUP
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.params.input import GenerationInput
from swarm.params.kinds import Model


def _encoder(name: str, slot: str, priority: float, what: str) -> Model:
    return Model(
        name=name,
        description=f"The {what} text encoder to use instead of the model's own.",
        subtype="Clip",
        slot=slot,
        ignore_if="",
        group=ADVANCED_MODEL_ADDONS_GROUP,
        priority=priority,
        permission=MODEL_PARAMS,
        advanced=True,
        toggleable=True,
    )


CLIP_L_MODEL = _encoder("CLIP-L Model", "clip_l", 15.0, "CLIP-L")
CLIP_G_MODEL = _encoder("CLIP-G Model", "clip_g", 16.0, "CLIP-G")
T5_XXL_MODEL = _encoder("T5-XXL Model", "t5xxl", 17.0, "T5-XXL")
QWEN_MODEL = _encoder("Qwen Model", "qwen", 20.0, "Qwen")
MISTRAL_MODEL = _encoder("Mistral Model", "mistral", 20.0, "Mistral")
GEMMA_MODEL = _encoder("Gemma Model", "gemma2", 20.0, "Gemma 2")
_NAMED = {param.slot: param for param in (CLIP_L_MODEL, CLIP_G_MODEL, T5_XXL_MODEL, MISTRAL_MODEL, GEMMA_MODEL)}
_NAMED |= {"qwen2.5vl": QWEN_MODEL, "qwen3": QWEN_MODEL}


@need()
def companions(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """Every text encoder and the VAE that the model's family wants and neither its file nor the request brings.

    One that is nowhere is no error here: whoever runs the model knows whether it can do without, or says what to get.
    """
    family = None if model is None or model.path.is_dir() else files.architecture(model)
    if model is None or family is None or family.adapter is None:
        return Found(parts={}, files={})
    parts: dict[str, ModelFile] = {}
    for slot, companion in _wanted(family).items():
        named = _NAMED.get(slot)
        if (named is not None and input.has(named)) or files.holds(model, *companion.inside):
            continue
        found = _find(files, companion)
        if found is not None:
            parts[slot] = found
    return Found(parts=parts, files={})


def _wanted(family: Architecture) -> Mapping[str, Companion]:
    known = [(name, TEXT_ENCODERS[name]) for name in family.text_encoders if name in TEXT_ENCODERS]
    wanted = {companion.slot or name: companion for name, companion in known}
    vae = VAES.get(family.compat.vae_family or (family.compat.id if family.compat.id in VAES else ""))
    return wanted if vae is None else {**wanted, "vae": vae}


def _find(files: Files, companion: Companion) -> ModelFile | None:
    """The file of the first usual name that is there, else one whose name tells what it is."""
    for name in companion.names:
        for known in files.names(companion.subtype):
            if _stem(known) == name.lower():
                return files.find(companion.subtype, known)
    for known in sorted(files.names(companion.subtype)):
        if any(hint in _stem(known) for hint in companion.hints):
            return files.find(companion.subtype, known)
    return None


def _stem(name: str) -> str:
    """A model's name in lower case, without folders and suffix."""
    last = name.lower().rpartition("/")[2]
    stem, dot, suffix = last.rpartition(".")
    return stem if dot and suffix in ("safetensors", "sft", "gguf", "bin", "pt") else last
