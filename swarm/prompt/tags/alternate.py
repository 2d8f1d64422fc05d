"""The `<alternate>` tag."""

from __future__ import annotations

from swarm.prompt.lexer import TagUse, split_smart
from swarm.prompt.marks import BAR, CLOSE, OPEN, escaped
from swarm.prompt.tag import TagContext, prompt_tag


@prompt_tag("alternate", "alt")
def alternate(tag: TagUse, context: TagContext) -> str | None:
    """`<alternate:cat,dog>` draws the first at one step and the second at the next, in turns, for a mixture of both."""
    if not tag.body.strip():
        context.warn(f"Alternate input '{tag.body}' is empty and will be ignored.")
        return None
    return OPEN + BAR.join(escaped(context.expand(part)) for part in split_smart(tag.body)) + CLOSE
