"""The `<break>` tag."""

from __future__ import annotations

from swarm.prompt.lexer import TagUse
from swarm.prompt.tag import Phase, TagContext, prompt_tag


@prompt_tag("break", phase=Phase.BASIC)
def break_(tag: TagUse, context: TagContext) -> str | None:
    """`<break>` ends a part of the prompt; the parts are read by the text encoder one by one."""
    return "<break>"
