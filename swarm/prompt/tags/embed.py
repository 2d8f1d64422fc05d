"""The `<embed>` tag."""

from __future__ import annotations

from swarm.prompt.lexer import TagUse
from swarm.prompt.tag import TagContext, prompt_tag


@prompt_tag("embed", "embedding")
def embed(tag: TagUse, context: TagContext) -> str | None:
    """`<embed:name>` puts in a textual inversion embedding. A part of the name is enough.

    `embedding:name`, as ComfyUI has it, does so with the whole name.
    """
    name = context.expand(tag.body).strip()
    found = context.known_embeddings.find(name.lower().replace("\\", "/")) if name else None
    if found is None:
        context.warn(f"Embedding '{name}' does not exist and will be ignored.")
        return ""
    if found not in context.used_embeddings:
        context.used_embeddings.append(found)
    return f"<embed:{found}>"
