"""The `<setmacro>` and `<macro>` tags."""

from __future__ import annotations

from swarm.prompt.lexer import TagUse, split_once
from swarm.prompt.tag import TagContext, prompt_tag


@prompt_tag("setmacro")
def setmacro(tag: TagUse, context: TagContext) -> str | None:
    """`<setmacro[animal]:<random:cat,dog>>` writes the text and remembers it unresolved for `<macro:animal>`.

    `<setmacro[animal,false]:…>` only remembers it. Each `<macro:animal>` resolves it anew.
    """
    name, flag = split_once(tag.predata or "", ",")
    name = name.strip()
    if not name:
        context.warn("A macro name is required when using setmacro.")
        return None
    context.macros[name] = tag.body
    return "" if (flag or "").strip().lower() == "false" else context.expand(tag.body)


@prompt_tag("macro")
def macro(tag: TagUse, context: TagContext) -> str | None:
    """`<macro:animal>` resolves the text that `<setmacro[animal]:…>` has remembered, with new random choices."""
    name = context.expand(tag.subject)
    if name not in context.macros:
        context.warn(f"Macro '{name}' is not recognized.")
        return ""
    return context.expand(context.macros[name])
