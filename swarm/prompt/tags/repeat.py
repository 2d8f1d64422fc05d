"""The `<repeat>` tag."""

from __future__ import annotations

from swarm.prompt.lexer import TagUse, split_once
from swarm.prompt.numbers import interpret_count
from swarm.prompt.tag import TagContext, prompt_tag


@prompt_tag("repeat")
def repeat(tag: TagUse, context: TagContext) -> str | None:
    """`<repeat[3]:very>` writes the text three times, its tags resolved anew each time. Also `<repeat:3,very>`."""
    count_text, text = (tag.predata, tag.body) if tag.predata is not None else split_once(tag.body, ",")
    count = interpret_count(count_text or "", context)
    if count is None or text is None:
        context.warn(f"Repeat input '{tag.body}' has invalid count (not a number) and will be ignored.")
        return None
    return " ".join(context.expand(text).strip() for _ in range(count))
