"""A prompt tag: `<shout:text>`."""

from __future__ import annotations

from swarm.ext import TagContext, TagUse, prompt_tag


@prompt_tag("shout")
def shout(tag: TagUse, context: TagContext) -> str | None:
    """`<shout:text>` writes the text in capitals. Other tags may stand in it."""
    return context.expand(tag.body).upper()
