"""The `<setvar>` and `<var>` tags."""

from __future__ import annotations

from swarm.prompt.lexer import TagUse, split_once
from swarm.prompt.tag import TagContext, prompt_tag


@prompt_tag("setvar")
def setvar(tag: TagUse, context: TagContext) -> str | None:
    """`<setvar[animal]:<random:cat,dog>>` writes the text and remembers it for `<var:animal>`.

    `<setvar[animal,false]:…>` only remembers it. The negative prompt knows what the prompt has set.
    """
    name, flag = split_once(tag.predata or "", ",")
    name = name.strip()
    if not name:
        context.warn("A variable name is required when using setvar.")
        return None
    text = context.expand(tag.body)
    context.variables[name] = text
    return "" if (flag or "").strip().lower() == "false" else text


@prompt_tag("var")
def var(tag: TagUse, context: TagContext) -> str | None:
    """`<var:animal>` writes the text that `<setvar[animal]:…>` has remembered."""
    name = context.expand(tag.subject)
    if name not in context.variables:
        context.warn(f"Variable '{name}' is not recognized.")
        return ""
    return context.variables[name]
