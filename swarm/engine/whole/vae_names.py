"""Names of the VAEs of films in the layout that latent diffusion began with, in diffusers' spelling. Pure."""

from __future__ import annotations

import re

_NAMES = (
    (re.compile(r"\.(down|up)\.(\d+)\.block\.(\d+)\."), r".\1_blocks.\2.resnets.\3."),
    (re.compile(r"\.(down|up)\.(\d+)\.(down|up)sample\."), r".\1_blocks.\2.\3samplers.0."),
    (re.compile(r"\.mid\.block_1\."), ".mid_block.resnets.0."),
    (re.compile(r"\.mid\.block_2\."), ".mid_block.resnets.1."),
    (re.compile(r"\.mid\.attn_1\.([qkv])\."), r".mid_block.attentions.0.to_\1."),
    (re.compile(r"\.mid\.attn_1\."), ".mid_block.attentions.0."),
    (re.compile(r"\.nin_shortcut\."), ".conv_shortcut."),
)


def film_vae_name(name: str) -> str:
    """A tensor's name in diffusers' spelling; one that is in it already stays. Levels are not turned about."""
    for pattern, spelled in _NAMES:
        name = pattern.sub(spelled, name)
    return name
