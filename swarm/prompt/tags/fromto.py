"""The `<fromto>` tag."""

from __future__ import annotations

from swarm.prompt.lexer import TagUse, split_smart
from swarm.prompt.marks import CLOSE, COLON, OPEN, escaped
from swarm.prompt.numbers import interpret_number
from swarm.prompt.tag import TagContext, prompt_tag


@prompt_tag("fromto")
def fromto(tag: TagUse, context: TagContext) -> str | None:
    """`<fromto[0.4]:cat,dog>` draws the first until that share of the steps, then the second.

    A number of 1 and above is a step.
    """
    when = interpret_number(tag.predata or "", context)
    if when is None:
        context.warn(
            f"FromTo input 'fromto[{tag.predata or ''}]:{tag.body}' has invalid predata step-index "
            "(not a number) and will be ignored."
        )
        return None
    parts = split_smart(tag.body)
    if len(parts) != 2:
        context.warn(f"FromTo input '{tag.body}' is invalid (len={len(parts)}, should be 2) and will be ignored.")
        return None
    before, after = (escaped(context.expand(part)) for part in parts)
    return f"{OPEN}{before}{COLON}{after}{COLON}{when:.10g}{CLOSE}"
