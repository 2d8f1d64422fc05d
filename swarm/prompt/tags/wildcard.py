"""The `<wildcard>` tag."""

from __future__ import annotations

from swarm.prompt.lexer import TagUse, split_once, split_smart
from swarm.prompt.picking import pick
from swarm.prompt.tag import TagContext, prompt_tag


@prompt_tag("wildcard", "wc")
def wildcard(tag: TagUse, context: TagContext) -> str | None:
    """`<wildcard:animals>` puts in a random line of the wildcard list `animals`.

    `[2]` and `[2,]` work as for `<random>`; `<wildcard:animals,not=cat|dog>` leaves lines out.
    """
    raw_name, rest = split_once(tag.body, ",")
    name = context.expand(raw_name).strip()
    found = context.wildcards.find(name)
    if found is None:
        context.warn(f"Wildcard input '{name}' does not match any wildcard file and will be ignored.")
        return None
    own_name, lines = found
    context.spend(len(lines))
    option = (rest or "").strip()
    excluded = set(split_smart(option.removeprefix("not="))) if option.startswith("not=") else set()
    options = [line for line in lines if line not in excluded]
    context.used_wildcards.append(own_name)
    return pick(options, tag.predata, context, ranges=False) if options else ""
