"""The expanded prompt taken apart: what is drawn everywhere, by one stage only, in a rectangle, or in a found area.

Pure, linear in the text (swarm-t2i 5.4 and 5.5). Give it `input.get(PROMPT)` or `input.get(NEGATIVE_PROMPT)` of a job:

    parts = split_sections(of.input.get(PROMPT))
    negative = split_sections(of.input.get(NEGATIVE_PROMPT))
    parts.for_base(), parts.for_refiner(), parts.for_video()      the text a stage encodes
    parts.regions, parts.background                               9.11 and 9.12; objects are regions with `is_object`
    for one in parts.segments:                                    9.13, in the order of the prompt
        parts.for_segment(one), negative.against(one), one.matchers, one.cid

`cid` is the section id: `input.get(STEPS, section=one.cid)` is what a `<param[steps]:…>` behind that tag has set (else
the request's own value), and `LoraUse.section` equals it for LoRAs confined to that part. The ids of stages are the
constants of `Section`. Textual inversions stand in the texts as `<embed:name>`; their files are in `Job.files` under
`embedding:name`. `<break>` and `[a|b]` are still there for the encoder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TypeVar

from swarm.base.errors import BadInput
from swarm.prompt.matchers import Matcher, parse_matchers
from swarm.prompt.numbers import read_number

MAX_PARTS = 100
"""Regions, objects, segments, cleared areas and extensions of one prompt, together."""

MAX_FRAMES = 10_000
"""The longest extension of a video."""

_MARKER = re.compile(r"//cid=([0-9]{1,6})$")
_ANY = re.compile(r"<(?:region:|object:|segment:|clear:|extend:|refiner|base|video|pixeldecoder)")
_Part = TypeVar("_Part", "Region", "Segment", "Extend")
_STAGES = ("base", "refiner", "pixeldecoder", "video", "videoswap")


class Section(IntEnum):
    """Section ids with a fixed meaning; parts of the prompt are numbered from `FIRST_PART` on."""

    EVERYWHERE = -1
    GLOBAL = 0
    REFINER = 1
    VIDEO = 2
    VIDEO_SWAP = 3
    PIXEL_DECODER = 4
    BASE = 5
    SEEDVR = 6
    FIRST_PART = 11


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle in shares of the picture's sides, within it. `strength`: -1 to 1, negative means all but it.

    `inpaint_strength`: 0 to 1, how far an object is drawn anew.
    """

    x: float
    y: float
    width: float
    height: float
    strength: float = 1.0
    inpaint_strength: float = 1.0
    is_object: bool = False
    text: str = ""
    cid: int = 0

    def tagged(self) -> str:
        """The region as a prompt says it."""
        place = ",".join(f"{number:.12g}" for number in (self.x, self.y, self.width, self.height, self.strength))
        return f"<region:{place}//cid={self.cid}>{self.text}"


@dataclass(frozen=True, kw_only=True)
class Segment:
    """An area found in the picture by `match`: parts joined with `|`, whose masks are added up (`matchers`).

    `creativity`: 0 to 1, the share of steps it is drawn anew with. `threshold`: -1 to 1, negative means all but it.
    """

    match: str
    creativity: float
    threshold: float
    text: str = ""
    cid: int = 0

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """What to look for."""
        return parse_matchers(self.match)

    @property
    def is_inverted(self) -> bool:
        return self.threshold < 0


@dataclass(frozen=True, kw_only=True)
class Extend:
    """So many more frames of a video."""

    frames: int
    text: str = ""
    cid: int = 0


@dataclass(frozen=True, kw_only=True)
class PromptParts:
    """A prompt by who draws it. The global text and the stages' own ones are as they were written, spaces included;
    what `for_…` answers is trimmed. A stage's text is empty when the prompt has none."""

    global_prompt: str
    base: str = ""
    refiner: str = ""
    pixel_decoder: str = ""
    video: str = ""
    video_swap: str = ""
    background: str = ""
    background_cid: int = 0
    regions: tuple[Region, ...] = ()
    segments: tuple[Segment, ...] = ()
    clears: tuple[Segment, ...] = ()
    extends: tuple[Extend, ...] = ()

    def for_base(self) -> str:
        """What the base picture is drawn from."""
        return _joined(self.global_prompt, self.base)

    def for_refiner(self) -> str:
        return _joined(self.global_prompt, self.refiner)

    def refining(self) -> str:
        """The refining stage's prompt with the regions, which it hears too; outside them it hears the global text."""
        told = [self.for_refiner(), *(one.tagged() for one in self.regions)]
        if self.regions:
            told.append(f"<region:background//cid={self.background_cid}>{self.for_background()}")
        return "".join(told)

    def for_pixel_decoder(self) -> str:
        return _joined(self.global_prompt, self.pixel_decoder)

    def for_video(self) -> str:
        """What a video is made from out of a picture."""
        return (self.video if self.video.strip() else self.global_prompt).strip()

    def for_video_swap(self) -> str:
        return self.video_swap.strip() or self.for_video()

    def for_background(self) -> str:
        """What is drawn outside all regions."""
        return self.background or self.global_prompt.strip()

    def for_segment(self, segment: Segment) -> str:
        """What a found area is drawn from, `segment` being one of these parts."""
        return segment.text or self.global_prompt.strip()

    def for_extend(self, extend: Extend) -> str:
        """What more frames are made from: their own text, else that of the extension before, else the global one."""
        before = [one.text for one in self.extends[: self.extends.index(extend) + 1] if one.text]
        return before[-1] if before else self.global_prompt.strip()

    def against(self, segment: Segment) -> str:
        """As a negative prompt: what a `segment` of the positive prompt shall not show."""
        own = (one.text for one in self.segments if one.match == segment.match and one.text)
        return next(own, self.global_prompt.strip())


def split_sections(prompt: str) -> PromptParts:
    """The parts of an expanded prompt. Raises BadInput when there are more than anyone can mean."""
    if not _ANY.search(prompt):
        return PromptParts(global_prompt=prompt)
    first, *pieces = prompt.split("<")
    reading = _Reading(texts={"": [first]})
    for piece in pieces:
        tag, closed, text = piece.partition(">")
        if not closed or not reading.enter(tag):
            reading.write("<" + piece)
        else:
            reading.write(text)
    return reading.parts()


def section_ids(prompt: str) -> frozenset[int]:
    """Every section id that an expanded prompt mentions."""
    return frozenset(int(found) for found in re.findall(r"//cid=([0-9]{1,6})>", prompt))


@dataclass
class _Reading:
    """Text goes to `target`: "" is the global prompt, a stage's name, `background`, or a number of `found`."""

    texts: dict[str, list[str]]
    target: str = ""
    cid: int = 0
    background_cid: int = 0
    found: list[Region | Segment | Extend] = field(default_factory=list)
    clears: set[int] = field(default_factory=set)

    def write(self, text: str) -> None:
        self.texts.setdefault(self.target, []).append(text)

    def enter(self, tag: str) -> bool:
        """Turn to what a tag begins; False when it begins nothing."""
        marker = _MARKER.search(tag)
        name, _, data = (tag[: marker.start()] if marker else tag).partition(":")
        cid = int(marker[1]) if marker else self.cid
        if name in _STAGES:
            self.target = name
        elif name == "region" and data in ("end", "background"):
            self.target = "" if data == "end" else data
            self.background_cid = cid if data == "background" else self.background_cid
        elif (part := _part(name, data, cid)) is not None:
            self._begin(part, clears=name == "clear")
        else:
            return False
        self.cid = cid
        return True

    def _begin(self, part: Region | Segment | Extend, *, clears: bool) -> None:
        if len(self.found) >= MAX_PARTS:
            raise BadInput(f"The prompt has more than {MAX_PARTS} regions, objects and segments.")
        if clears:
            self.clears.add(len(self.found))
        self.target = str(len(self.found))
        self.found.append(part)

    def parts(self) -> PromptParts:
        segments: list[Segment] = []
        clears: list[Segment] = []
        regions: list[Region] = []
        extends: list[Extend] = []
        for number, part in enumerate(self.found):
            text = self._text(str(number)).strip()
            if isinstance(part, Region):
                regions.append(_with_text(part, text))
            elif isinstance(part, Extend):
                extends.append(_with_text(part, text))
            else:
                (clears if number in self.clears else segments).append(_with_text(part, text))
        return PromptParts(
            global_prompt=self._text(""),
            base=self._text("base"),
            refiner=self._text("refiner"),
            pixel_decoder=self._text("pixeldecoder"),
            video=self._text("video"),
            video_swap=self._text("videoswap"),
            background=self._text("background").strip(),
            background_cid=self.background_cid,
            regions=tuple(regions),
            segments=tuple(segments),
            clears=tuple(clears),
            extends=tuple(extends),
        )

    def _text(self, target: str) -> str:
        return "".join(self.texts.get(target, ()))


def _with_text(part: _Part, text: str) -> _Part:
    return replace(part, text=text)


def _part(name: str, data: str, cid: int) -> Region | Segment | Extend | None:
    if name in ("region", "object"):
        return _region(data, cid, is_object=name == "object")
    if name in ("segment", "clear"):
        return _segment(data, cid)
    frames = read_number(data) if name == "extend" else None
    return Extend(frames=int(frames), cid=cid) if frames is not None and 1 <= frames <= MAX_FRAMES else None


def _region(data: str, cid: int, *, is_object: bool) -> Region | None:
    """`x,y,width,height[,strength[,strength2]]`; None for anything else."""
    values = [read_number(part) for part in data.split(",", 6)]
    numbers = [value for value in values if value is not None]
    if not 4 <= len(values) <= 6 or len(numbers) < len(values):
        return None
    x, y, width, height, strength, inpaint_strength = (*numbers, 1.0, 1.0)[:6]
    x, y = _clamped(x, 0, 1), _clamped(y, 0, 1)
    return Region(
        x=x,
        y=y,
        width=_clamped(width, 0, 1 - x),
        height=_clamped(height, 0, 1 - y),
        strength=_clamped(strength, -1, 1),
        inpaint_strength=_clamped(inpaint_strength, 0, 1),
        is_object=is_object,
        cid=cid,
    )


def _segment(data: str, cid: int) -> Segment | None:
    """`match[,creativity][,threshold]`: a single number is the threshold. None when there is nothing to match."""
    match, numbers = _trailing_numbers(data)
    if not match.strip():
        return None
    threshold = numbers[-1] if numbers else 0.25 if match.startswith("yolo-") else 0.5
    creativity = numbers[0] if len(numbers) == 2 else 0.6
    return Segment(
        match=match.strip(), creativity=_clamped(creativity, 0, 1), threshold=_clamped(threshold, -1, 1), cid=cid
    )


def _trailing_numbers(data: str) -> tuple[str, Sequence[float]]:
    """`data` without the one or two numbers it ends with, and those."""
    numbers: list[float] = []
    while len(numbers) < 2:
        rest, comma, last = data.rpartition(",")
        value = read_number(last) if comma else None
        if value is None:
            break
        numbers.insert(0, value)
        data = rest
    return data, numbers


def _clamped(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _joined(first: str, second: str) -> str:
    """Both texts with a space between, though they may have spaces of their own: models that read every space are told
    what SwarmUI tells them."""
    return (f"{first} {second}" if second.strip() else first).strip()
