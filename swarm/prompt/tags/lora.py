"""The `<lora>` tag."""

from __future__ import annotations

from swarm.base.errors import BadInput
from swarm.prompt.lexer import TagUse
from swarm.prompt.numbers import read_number
from swarm.prompt.tag import LoraTag, Phase, TagContext, prompt_tag

MOST_LORAS = 1000
"""How many tags of a prompt may apply one."""


@prompt_tag("lora", phase=Phase.POST)
def lora(tag: TagUse, context: TagContext) -> str | None:
    """`<lora:name>` applies a LoRA; `<lora:name:0.8>` says how strongly.

    `<lora:name:0.8:0.5>` gives the text encoder a strength of its own. A part of the name is enough. Behind a tag such
    as `<refiner>` or `<segment:…>` it acts only there.
    """
    raw_name, *raw_weights = context.expand(tag.body).split(":")
    name = raw_name.strip().lower().replace("\\", "/")
    found = context.known_loras.find(name) if name else None
    if found is None:
        known = context.known_loras.count()
        context.warn(f"Lora '{name}' does not exist and will be ignored (out of {known} existing loras).")
        return None
    weights = [read_number(text) for text in raw_weights[:2]]
    if None in weights:
        context.warn(f"Lora '{name}' has an invalid weight (not a number) and will be ignored.")
        return None
    if len(context.loras) >= MOST_LORAS:
        raise BadInput(f"A prompt can apply at most {MOST_LORAS} LoRAs.")
    weight, text_weight = (*weights, None, None)[:2]
    context.loras.append(LoraTag(found, 1.0 if weight is None else weight, text_weight, context.section))
    return ""
