"""`embedding:name`, as ComfyUI's own prompts write textual inversions, as the tag that means the same."""

from __future__ import annotations

import re

from swarm.prompt.tag import TagContext

_WORD = re.compile(r"(?<![\w./\\<-])embedding:([^\s():,|\[\]<>]{1,400})")


def tagged_embeddings(text: str, context: TagContext) -> str:
    """`text` with every such word that names an embedding in full as `<embed:name>`; others stay what they are."""
    if "embedding:" not in text:
        return text

    def tag(found: re.Match[str]) -> str:
        name = found[1].removesuffix(".safetensors").replace("\\", "/")
        known = context.known_embeddings.find(name.lower())
        return f"<embed:{known}>" if known is not None and known.lower() == name.lower() else found[0]

    return _WORD.sub(tag, text)
