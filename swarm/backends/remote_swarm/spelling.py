"""A job as another Swarm reads it: parameters by id, spelled as in swarm-models-backends 4.3. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from swarm.base.json import Json
from swarm.features.core import BATCH_SIZE, IMAGES, NEGATIVE_PROMPT, PROMPT, SEED
from swarm.features.swarm import EXACT_BACKEND_ID, FORWARD_SWARM_DATA, INTERNAL_BACKEND_TYPE
from swarm.features.variation import VARIATION_SEED
from swarm.features.webhooks import WEBHOOKS
from swarm.jobs.job import Job
from swarm.media.image import Picture
from swarm.params.kinds import LIST_SEPARATOR, Model
from swarm.params.param import Param

_OURS = frozenset(
    one.id for one in (IMAGES, BATCH_SIZE, INTERNAL_BACKEND_TYPE, EXACT_BACKEND_ID, FORWARD_SWARM_DATA, WEBHOOKS)
)
"""What is said anew, or is between this server and its own client."""


def spelled(job: Job, params: Mapping[str, Param[Any]], backend_id: int) -> dict[str, Json]:
    """The body of a generation request, without its session. The result comes back as PNG, to be encoded here."""
    body: dict[str, Json] = {
        param_id: _value(params.get(param_id), value)
        for param_id, value in job.input.values.items()
        if param_id not in _OURS
    }
    for prompt in (PROMPT.id, NEGATIVE_PROMPT.id):
        if isinstance(text := body.get(prompt), str):
            body[prompt] = text.replace("<embed:", "<embedding:")
    if job.model is not None:
        body["model"] = job.model.name.removesuffix(".safetensors")
    body[SEED.id] = job.seeds[0]
    if job.variation_seeds and VARIATION_SEED.id in body:
        body[VARIATION_SEED.id] = job.variation_seeds[0]
    if len(job.seeds) > 1:
        body[BATCH_SIZE.id] = len(job.seeds)
    return {
        **body,
        "images": 1,
        "donotsave": True,
        "imageformat": "PNG",
        "exactbackendid": backend_id,
        "forwardswarmdata": True,
    }


def _value(param: Param[Any] | None, value: Any) -> Json:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, Picture):
        return base64.b64encode(value.data).decode()
    if isinstance(value, str):
        return value.removesuffix(".safetensors") if isinstance(param, Model) else value
    parts = [base64.b64encode(one.data).decode() if isinstance(one, Picture) else str(one) for one in value]
    if any(isinstance(one, Picture) for one in value):
        return "|".join(parts)
    bare = [part.removesuffix(".safetensors") for part in parts]
    return (LIST_SEPARATOR if any("," in part for part in bare) else ",").join(bare)
