"""The `<random>` tag."""

from __future__ import annotations

from swarm.prompt.lexer import TagUse, split_smart
from swarm.prompt.picking import pick
from swarm.prompt.tag import TagContext, prompt_tag


@prompt_tag("random")
def random(tag: TagUse, context: TagContext) -> str | None:
    """`<random:red,green,blue>` picks one of the options; separate them with `||`, `|` or `,`.

    `<random[2]:…>` picks two different ones, `<random[1-3]:…>` one to three; `<random[2,]:…>` puts commas between them.
    An option such as `1-5` or `0.1-0.9` stands for a random number in that range. The same seed picks the same.
    """
    if not tag.body.strip():
        context.warn(f"Random input '{tag.body}' is empty and will be ignored.")
        return None
    return pick(split_smart(tag.body), tag.predata, context, ranges=True)
