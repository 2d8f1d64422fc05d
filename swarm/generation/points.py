"""Moments of a generation at which extensions may act: declare a function with `@hook(POINT)`."""

from __future__ import annotations

from swarm.base.hooks import HookPoint

BEFORE_GENERATE = HookPoint(
    "before_generate",
    "A picture's job is resolved and no backend has it yet. Given (job, user id); may return another Job, or raise "
    "Refused with a sentence.",
)
AFTER_IMAGE = HookPoint(
    "after_image",
    "A picture came from a backend and is not saved yet. Given (ImageDone, job); may return another ImageDone.",
)
AFTER_BATCH = HookPoint(
    "after_batch",
    "All pictures of a request have ended. Given (tuple of ImageSaved, user id); the answer is ignored.",
)
