"""Everything an extension may import: `from swarm.ext import …`. Other modules may change without notice."""

from __future__ import annotations

from swarm.access.permission import Level, Permission, PermissionGroup, Safety
from swarm.api.route import ApiSocket, Body, Call, SocketGone, route
from swarm.base.errors import BadInput, NotFound, NotPermitted, Refused, Unavailable
from swarm.base.hooks import hook
from swarm.base.json import Json, JsonObject
from swarm.base.tasks import to_thread
from swarm.diffusion.ancestral import towards
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler
from swarm.diffusion.schedule import ScheduleOptions, schedule
from swarm.diffusion.sigmas import SigmaTable
from swarm.features.core import NEGATIVE_PROMPT, PROMPT, SEED, STEPS
from swarm.generation.points import AFTER_BATCH, AFTER_IMAGE, BEFORE_GENERATE
from swarm.jobs.events import ImageDone
from swarm.jobs.job import Job
from swarm.jobs.stage import Stage, StageContext, stage
from swarm.media.image import Picture, Pixels
from swarm.params.kinds import Boolean, Decimal, Dropdown, Integer, Listing, Model, Text
from swarm.params.param import ParamGroup
from swarm.prompt.lexer import TagUse
from swarm.prompt.tag import TagContext, prompt_tag
from swarm.web.page import page

__all__ = [
    "AFTER_BATCH",
    "AFTER_IMAGE",
    "BEFORE_GENERATE",
    "NEGATIVE_PROMPT",
    "PROMPT",
    "SEED",
    "STEPS",
    "ApiSocket",
    "BadInput",
    "Body",
    "Boolean",
    "Call",
    "Decimal",
    "Denoise",
    "Dropdown",
    "ImageDone",
    "Integer",
    "Job",
    "Json",
    "JsonObject",
    "Latent",
    "Level",
    "Listing",
    "Model",
    "Noise",
    "NotFound",
    "NotPermitted",
    "ParamGroup",
    "Permission",
    "PermissionGroup",
    "Picture",
    "Pixels",
    "Refused",
    "Safety",
    "SamplerRun",
    "ScheduleOptions",
    "SigmaTable",
    "SocketGone",
    "Stage",
    "StageContext",
    "TagContext",
    "TagUse",
    "Text",
    "Unavailable",
    "hook",
    "page",
    "prompt_tag",
    "route",
    "sampler",
    "schedule",
    "stage",
    "to_thread",
    "towards",
]
