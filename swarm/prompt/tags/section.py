"""The tags that begin the part of a prompt which one stage reads: `<base>`, `<refiner>`, `<video>` …"""

from __future__ import annotations

from swarm.prompt.lexer import TagUse
from swarm.prompt.marks import marked
from swarm.prompt.sections import Section
from swarm.prompt.tag import Phase, TagContext, prompt_tag


@prompt_tag("base", phase=Phase.BASIC)
def base(tag: TagUse, context: TagContext) -> str | None:
    """`<base>` begins a part that only the first stage of a picture reads, in addition to what stands before it."""
    return marked("base", Section.BASE)


@prompt_tag("refiner", phase=Phase.BASIC)
def refiner(tag: TagUse, context: TagContext) -> str | None:
    """`<refiner>` begins a part that only the refining stage reads.

    LoRAs and `<param[…]:…>` behind it act there only, as behind the other tags of this kind.
    """
    return marked("refiner", Section.REFINER)


@prompt_tag("pixeldecoder", phase=Phase.BASIC)
def pixeldecoder(tag: TagUse, context: TagContext) -> str | None:
    """`<pixeldecoder>` begins a part that only a pixel decoder reads."""
    return marked("pixeldecoder", Section.PIXEL_DECODER)


@prompt_tag("video", phase=Phase.BASIC)
def video(tag: TagUse, context: TagContext) -> str | None:
    """`<video>` begins the prompt of the video that is made from the picture, instead of the picture's own."""
    return marked("video", Section.VIDEO)


@prompt_tag("videoswap", phase=Phase.BASIC)
def videoswap(tag: TagUse, context: TagContext) -> str | None:
    """`<videoswap>` begins the prompt of the model that finishes the video."""
    return marked("videoswap", Section.VIDEO_SWAP)
