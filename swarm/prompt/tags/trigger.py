"""The `<trigger>` tag."""

from __future__ import annotations

from swarm.prompt.lexer import TagUse
from swarm.prompt.marks import MORE_TRIGGERS, TRIGGERS
from swarm.prompt.tag import Phase, TagContext, prompt_tag


@prompt_tag("trigger", phase=Phase.BASIC)
def trigger(tag: TagUse, context: TagContext) -> str | None:
    """`<trigger>` puts in the words that the model and the LoRAs answer to, as their files say, with commas."""
    phrases = ", ".join(phrase for phrase in context.parameters.trigger_phrases() if phrase)
    return phrases + (MORE_TRIGGERS if phrases else TRIGGERS)
