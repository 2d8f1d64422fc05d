"""The `<preset>` tag."""

from __future__ import annotations

from swarm.prompt.lexer import TagUse
from swarm.prompt.tag import TagContext, prompt_tag

_PRIOR_VALUE = "{value}"
_WORK = 10_000


@prompt_tag("preset", "p")
def preset(tag: TagUse, context: TagContext) -> str | None:
    """`<preset:title>` applies one of your presets to the request.

    If the preset has a prompt, what it says before `{value}` is put before your whole prompt, and the rest after it;
    in another tag such as `<random:…>`, around the text of that tag's option.
    """
    title = context.expand(tag.body).strip()
    context.spend(_WORK)
    text = context.parameters.apply_preset(title)
    if text is None:
        context.warn(f"Preset '{title}' does not exist and will be ignored.")
        return None
    before, wraps, after = text.partition(_PRIOR_VALUE)
    if wraps:
        context.wrap(context.expand(before), context.expand(after))
    else:
        context.wrap("", context.expand(text))
    return ""
