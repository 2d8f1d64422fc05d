"""The `<comment>` tag."""

from __future__ import annotations

from swarm.prompt.lexer import TagUse
from swarm.prompt.tag import Phase, TagContext, prompt_tag


@prompt_tag("comment", phase=Phase.BASIC)
def comment(tag: TagUse, context: TagContext) -> str | None:
    """`<comment:anything>` is left out of the prompt."""
    return ""
