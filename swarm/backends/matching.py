"""Can this backend serve this job? Answered with the reason when it cannot (swarm-models-backends 3.5.1). Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from swarm.backends.instance import BackendInstance
from swarm.backends.loads import LoadKey, load_key
from swarm.features.swarm import EXACT_BACKEND_ID, INTERNAL_BACKEND_TYPE, NO_LOAD_MODELS
from swarm.jobs.job import Job, ModelFile

NO_BACKENDS = "No backends available!"
_NO_MATCH = "No backends match the settings of the request given!"
_EMBEDDING = "embedding:"
_NEVER_BLOCKING = frozenset({"sd3", "flux-dev", "text2video", "cascade", "sdxl", "text2audio"})


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a job asks of a backend. Jobs with equal demands wait in one line.

    `model`: name with extension, None for any. `load`: what has to be loaded for it, None for nothing. `flags`: feature
    flags that may block. `backend_type`, `backend_id`: empty when the request does not narrow them. `loads`: whether
    the model may be loaded for it. `alone`: it must have a backend for itself, for it was there when one went away.
    `others`: (set, name) of the models its parameters name besides. `elsewhere`: a model of the job that is not on this
    machine. `params`: ids of the parameters that are set.
    """

    model: str | None
    load: LoadKey | None = None
    loras: tuple[str, ...]
    flags: frozenset[str]
    backend_type: str
    backend_id: str
    loads: bool
    alone: bool
    others: tuple[tuple[str, str], ...] = ()
    embeddings: tuple[str, ...] = ()
    elsewhere: str = ""
    params: frozenset[str] = frozenset()


def demand_of(job: Job, needs: frozenset[str], *, alone: bool = False) -> Demand:
    """The demand of a job whose parameters need these feature flags."""
    wanted_type = str(job.input.get(INTERNAL_BACKEND_TYPE) or "").lower()
    return Demand(
        model=job.model.name if job.model is not None else None,
        load=load_key(job.model) if job.model is not None else None,
        loras=tuple(lora.file.name for lora in job.loras),
        flags=needs - _NEVER_BLOCKING,
        backend_type="" if wanted_type == "any" else wanted_type,
        backend_id=str(job.input.get(EXACT_BACKEND_ID) if job.input.has(EXACT_BACKEND_ID) else ""),
        loads=not job.input.get(NO_LOAD_MODELS),
        alone=alone,
        others=job.others,
        embeddings=tuple(name.removeprefix(_EMBEDDING) for name in job.files if name.startswith(_EMBEDDING)),
        elsewhere=next((file.name for file in _files(job) if file.remote), ""),
        params=frozenset(job.input),
    )


def _files(job: Job) -> Iterator[ModelFile]:
    yield from (job.model,) if job.model is not None else ()
    yield from (lora.file for lora in job.loras)
    yield from job.parts.values()
    yield from job.files.values()


def refusal(demand: Demand, instance: BackendInstance) -> str | None:
    """Why this backend cannot take such a job, or None when it can. Whether it is busy is not asked.

    A backend that has not started yet and names no features may turn out to have any.
    """
    if demand.backend_type and demand.backend_type != instance.type.id.lower():
        return "Specific backend type requested in advanced parameters did not match"
    if demand.backend_id and demand.backend_id not in {str(one.id) for one in (instance, *instance.ancestors())}:
        return "Specific backend ID# requested in advanced parameters did not match"
    features = instance.backend.features
    missing = sorted(demand.flags - features) if features or instance.can_serve else ()
    if missing:
        return f"Request requires flag '{missing[0]}' which is not present on the backend"
    return _missing_model(demand, instance) or _own_reason(demand, instance)


def _missing_model(demand: Demand, instance: BackendInstance) -> str | None:
    known = instance.backend.model_names
    if known is None:
        if demand.elsewhere and instance.can_serve:
            return f"Request requires model '{demand.elsewhere}' but the backend does not have that model"
        return None
    models = known.get("Stable-Diffusion")
    if models is not None and demand.model is not None and not _has(models, demand.model):
        return f"Request requires model '{demand.model}' but the backend does not have that model"
    for subtype, name in demand.others:
        listed = known.get(subtype)
        if listed is not None and not _has(listed, name):
            return f"Request requires model '{name}' but the backend does not have that model"
    loras = known.get("LoRA")
    lost = next((name for name in demand.loras if loras is not None and not _has(loras, name)), None)
    if lost is not None:
        return f"Request requires LoRA '{lost}' but the backend does not have that LoRA"
    return _missing_embedding(demand, known)


def _own_reason(demand: Demand, instance: BackendInstance) -> str | None:
    """What only this kind of backend cannot do."""
    refuses: Callable[[frozenset[str]], str | None] | None = getattr(instance.backend, "refuses", None)
    return refuses(demand.params) if refuses is not None and instance.can_serve else None


def _missing_embedding(demand: Demand, known: Mapping[str, frozenset[str]]) -> str | None:
    listed = known.get("Embedding")
    lost = next((name for name in demand.embeddings if listed is not None and not _has(listed, name)), None)
    return None if lost is None else f"Request requires embedding '{lost}' but the backend does not have that embedding"


def _has(names: Collection[str], name: str) -> bool:
    """Compared with and without `.safetensors`; `(None)` is always there."""
    bare = name.removesuffix(".safetensors")
    return name == "(None)" or bare in names or f"{bare}.safetensors" in names or name in names


def no_match_sentence(reasons: Iterable[str]) -> str:
    """What the client reads when every backend refuses (swarm-t2i 4.8): each distinct reason on a line of its own."""
    lines = "".join(f"\n- {reason}" for reason in dict.fromkeys(reasons))
    return f"{_NO_MATCH} Backends refused for the following reason(s):{lines}" if lines else _NO_MATCH


def load_failure_sentence(model: str, reasons: Sequence[str]) -> str:
    """What the client reads when no backend could load the model. Names the model, never its place on the disk."""
    causes = "\n\n".join(f"Possible reason: {reason}" for reason in dict.fromkeys(reasons))
    return f"All available backends failed to load the model '{model}'.\n\n{causes}"
