"""Pickled models made into safetensors files (swarm-core 7.2)."""

from __future__ import annotations

from swarm.access.permissions import PICKLE2SAFETENSORS
from swarm.api.route import Call, route
from swarm.api.shapes import SUCCESS
from swarm.base.errors import BadInput, Refused
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread

BESIDE = ("ipadapter", "upscale_models")
"""Folders below the models folder that are no model sets, whose files are published as pickles."""


@route("Pickle2SafeTensor", permission=PICKLE2SAFETENSORS, touches=True, answers={**SUCCESS, "converted?": int})
async def pickle_to_safetensors(call: Call, type: str, fp16: bool) -> JsonObject:
    """Convert every pickled model (.ckpt, .pt, .pth, .bin) of a set, by a process that may do nothing else.

    `type`: the model set, or `ipadapter` or `upscale_models`, the folders beside them. `fp16`: write numbers with 16
    bits. The pickles stay, and those that have a safetensors file beside them are left out. Answers when all are done:
    how many were `converted`, or why one could not be.
    """
    catalog = call.state.catalog
    if type in BESIDE:
        folders = [root / type for root in catalog.roots]
    elif type in catalog.sets():
        folders = await to_thread(catalog.folders, type)
    else:
        raise BadInput(f"Invalid type '{type[:100]}'.")
    done = await to_thread(call.state.upkeep.pickles.convert_all, folders, half=fp16)
    if done.made:
        await to_thread(catalog.refresh)
    if done.failed:
        raise Refused(" ".join(done.failed)[:2000])
    return {"success": True, "converted": len(done.made)}
