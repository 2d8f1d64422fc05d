"""The `<param>` tag."""

from __future__ import annotations

from swarm.prompt.lexer import TagUse
from swarm.prompt.tag import TagContext, prompt_tag


@prompt_tag("param")
def param(tag: TagUse, context: TagContext) -> str | None:
    """`<param[steps]:30>` sets a parameter from within the prompt; `<param:steps>` writes its value.

    Behind a tag such as `<refiner>` or `<segment:…>`, steps, CFG scale, sampler and a few others are set only for that.
    """
    if tag.predata is None:
        name = context.expand(tag.body).strip()
        value = context.parameters.text(name, context.section)
        if value is None:
            context.warn(f"Parameter '{name}' does not exist and will be ignored.")
        return value
    name = context.expand(tag.predata).strip()
    if not name:
        context.warn("Prompt tag 'param' requires pre-data to specify the parameter name.")
        return None
    if not context.parameters.set(name, context.expand(tag.body).strip(), context.section):
        context.warn(f"Parameter '{name}' does not exist and will be ignored.")
        return None
    return ""
