"""The tags that begin the prompt of a part of the picture: `<region>`, `<object>`, `<segment>`, `<extend>`."""

from __future__ import annotations

from swarm.prompt.lexer import TagUse
from swarm.prompt.marks import marked, unmarked
from swarm.prompt.sections import Section
from swarm.prompt.tag import Phase, TagContext, prompt_tag


@prompt_tag("region", phase=Phase.BASIC)
def region(tag: TagUse, context: TagContext) -> str | None:
    """`<region:x,y,width,height>` begins the prompt of a rectangle, in shares of the picture: `<region:0,0,0.5,1>`.

    A fifth number from -1 to 1 says how strongly it counts; a negative one means all but the rectangle. After
    `<region:background>` stands what shows outside all rectangles, after `<region:end>` the prompt of the whole again.
    """
    if unmarked(tag.body)[0] == "end":
        return marked("region:end", Section.GLOBAL)
    return _numbered(tag, context)


@prompt_tag("object", phase=Phase.BASIC)
def object_(tag: TagUse, context: TagContext) -> str | None:
    """`<object:x,y,width,height>` is a region that is also drawn anew afterwards, on its own.

    `<object:x,y,width,height,strength,strength2>`: the last number, 0 to 1, says how far it is drawn anew.
    """
    return _numbered(tag, context)


@prompt_tag("segment", phase=Phase.BASIC)
def segment(tag: TagUse, context: TagContext) -> str | None:
    """`<segment:face>` finds what the words describe in the finished picture and draws it anew from the text behind.

    `<segment:face,0.6,0.5>` gives creativity and threshold; a single number is the threshold, a negative one takes all
    but what was found. `<segment:yolo-model.pt>` asks a detector, `<segment:yolo-model.pt-2>` for its second finding,
    `<segment:yolo-model.pt:0,person:>` for some classes; `face|hair` is both.
    """
    return _numbered(tag, context)


@prompt_tag("extend", phase=Phase.BASIC)
def extend(tag: TagUse, context: TagContext) -> str | None:
    """`<extend:33>` lets a video go on by a clip of so many frames, from the text behind it.

    The clip begins with the last frames of the video, which are shown once.
    """
    return _numbered(tag, context)


@prompt_tag("clear", phase=Phase.BASIC)
def clear(tag: TagUse, context: TagContext) -> str | None:
    """`<clear:sky>` makes what the words describe transparent."""
    return None


def _numbered(tag: TagUse, context: TagContext) -> str | None:
    data, brought = unmarked(tag.body)
    written = f"{tag.name}:{data}"
    return marked(written, context.numbering.number(written, brought)) if data.strip() else None
