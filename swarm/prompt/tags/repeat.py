"""The `<repeat>` tag."""

from __future__ import annotations

import math

from swarm.prompt.lexer import TagUse, split_once
from swarm.prompt.numbers import MAX_COUNT, interpret_number
from swarm.prompt.tag import TagContext, prompt_tag


@prompt_tag("repeat")
def repeat(tag: TagUse, context: TagContext) -> str | None:
    """`<repeat[3]:very>` writes the text three times, its tags resolved anew each time. Also `<repeat:3,very>`."""
    count_text, text = (tag.predata, tag.body) if (tag.predata or "").strip() else split_once(tag.body, ",")
    count = interpret_number(count_text or "", context)
    if count is None:
        context.warn(f"Repeat input '{tag.body}' has invalid count (not a number) and will be ignored.")
        return None
    times = math.ceil(min(max(count, 0), MAX_COUNT))
    return " ".join(context.expand(text or "").strip() for _ in range(times)).strip()
