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
    name, rest = split_once(context.expand(tag.body), ",")
    name = name.strip()
    found = context.wildcards.find(name)
    if found is None:
        context.warn(f"Wildcard input '{name}' does not match any wildcard file and will be ignored.")
        return None
    own_name, lines = found
    context.spend(len(lines))
    option = (rest or "").strip()
    options = list(lines)
    if option.startswith("not="):
        excluded = set(split_smart(option.removeprefix("not=")))
        # Lines that stand in the list several times count once here, as in SwarmUI: seeds pick the same lines.
        options = [line for line in dict.fromkeys(lines) if line not in excluded]
    context.used_wildcards.append(own_name)
    return pick(options, tag.predata, context, ranges=False) if options else ""
