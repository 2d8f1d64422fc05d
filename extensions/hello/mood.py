"""A parameter, and the hook that makes it act."""

from __future__ import annotations

from dataclasses import replace

from swarm.ext import BEFORE_GENERATE, PROMPT, Job, ParamGroup, Text, hook

HELLO_GROUP = ParamGroup(
    name="Hello",
    description="Parameters of the tutorial extension.",
    toggles=True,
    open=False,
    priority=90.0,
    advanced=True,
)
HELLO_MOOD = Text(
    name="Hello Mood",
    description="A mood that is added to the end of the prompt of each picture.",
    default="",
    group=HELLO_GROUP,
    examples=("cheerful", "gloomy"),
)


@hook(BEFORE_GENERATE)
async def add_mood(job: Job, user_id: str) -> Job | None:
    """Put the mood behind the prompt."""
    mood = job.input.given(HELLO_MOOD)
    if not mood:
        return None
    return replace(job, input=job.input.having(PROMPT, f"{job.input.get(PROMPT)}, {mood} mood"))
