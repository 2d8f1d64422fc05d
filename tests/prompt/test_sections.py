"""An expanded prompt by who draws it: rectangles, found areas, stages."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import swarm.prompt.tags
from swarm.base.errors import BadInput
from swarm.base.registry import collect
from swarm.prompt.expand import expand, tag_table
from swarm.prompt.matchers import TextMatch, YoloMatch, parse_matchers
from swarm.prompt.sections import MAX_PARTS, Extend, Region, Segment, section_ids, split_sections
from swarm.prompt.tag import Draws, PromptTag, TagContext

TABLE = tag_table(collect(swarm.prompt.tags, PromptTag))


def test_a_prompt_without_sections_is_the_global_prompt() -> None:
    parts = split_sections(" a cat <break> on a <embed:x> mat < 3 ")
    assert parts.for_base() == "a cat <break> on a <embed:x> mat < 3"
    assert parts.for_base() == parts.for_refiner() == parts.for_video() == parts.for_background()
    assert parts.global_prompt == f" {parts.for_base()} "


def test_stages_read_their_own_parts() -> None:
    parts = split_sections(
        "a cat <base//cid=5>sketch <refiner//cid=1>detail <video//cid=2>it runs <pixeldecoder//cid=4>sharp"
    )
    assert parts.for_base() == "a cat  sketch"
    assert parts.for_refiner() == "a cat  detail"
    assert parts.for_pixel_decoder() == "a cat  sharp"
    assert parts.for_video() == parts.for_video_swap() == "it runs"
    assert split_sections("a <videoswap//cid=3>b").for_video_swap() == "b"


def test_regions_and_objects_are_rectangles_within_the_picture() -> None:
    parts = split_sections(
        "all <region:0.5,-1,2,0.5//cid=11>left <object:0,0,1,1,-0.5,0.25//cid=12>box "
        "<region:background//cid=13>sky <region:end//cid=0>more"
    )
    assert parts.regions == (
        Region(x=0.5, y=0, width=0.5, height=0.5, text="left", cid=11),
        Region(x=0, y=0, width=1, height=1, strength=-0.5, inpaint_strength=0.25, is_object=True, text="box", cid=12),
    )
    assert (parts.global_prompt, parts.for_background()) == ("all more", "sky")


@pytest.mark.parametrize(
    ("data", "match", "creativity", "threshold"),
    [
        ("face", "face", 0.6, 0.5),
        ("face,0.3", "face", 0.6, 0.3),
        ("face,0.8,-0.3", "face", 0.8, -0.3),
        ("face,9,-9", "face", 1, -1),
        ("big, red hat,0.7,0.2", "big, red hat", 0.7, 0.2),
        ("face,x,0.2", "face,x", 0.6, 0.2),
        ("0.5", "0.5", 0.6, 0.5),
        ("yolo-face.pt-2", "yolo-face.pt-2", 0.6, 0.25),
        ("yolo-face.pt:0,1:,0.6", "yolo-face.pt:0,1:", 0.6, 0.6),
    ],
)
def test_segments_end_in_creativity_and_threshold(data: str, match: str, creativity: float, threshold: float) -> None:
    expected = Segment(match=match, creativity=creativity, threshold=threshold, text="x", cid=11)
    assert split_sections(f"<segment:{data}//cid=11> x").segments == (expected,)
    assert split_sections(f"<clear:{data}//cid=11> x").clears == (expected,)


def test_what_to_look_for_is_read_from_the_match() -> None:
    assert parse_matchers("hair | yolo-face_v8.pt-2 | yolo-x.pt:0,person:|") == (
        TextMatch(text="hair"),
        YoloMatch(model="face_v8.pt", index=2),
        YoloMatch(model="x.pt", classes=("0", "person")),
    )


def test_empty_parts_borrow_their_text() -> None:
    parts = split_sections("a <segment:face//cid=11><extend:9//cid=12><extend:8//cid=13>runs<extend:7//cid=14>")
    assert parts.for_segment(parts.segments[0]) == "a"
    assert [parts.for_extend(one) for one in parts.extends] == ["a", "runs", "runs"]
    assert parts.extends[1] == Extend(frames=8, text="runs", cid=13)


def test_a_segment_is_kept_from_what_the_negative_prompt_says_of_it() -> None:
    face, hand = split_sections("<segment:face>a<segment:hand>b").segments
    negative = split_sections("ugly <segment:face,0.9>blurred")
    assert (negative.against(face), negative.against(hand)) == ("blurred", "ugly")


@pytest.mark.parametrize(
    "tag", ["<region:1,2,3>", "<region:a,b,c,d>", "<object:nan,0,1,1>", "<segment:>", "<extend:no>", "<extend:0>"]
)
def test_tags_that_say_nothing_are_text(tag: str) -> None:
    assert split_sections(f"a <base>b {tag}c").for_base() == f"a  b {tag}c"


def test_ids_are_inherited_where_none_is_written() -> None:
    parts = split_sections("<segment:a//cid=11><clear:b><segment:c//cid=12>")
    assert [one.cid for one in (*parts.segments, *parts.clears)] == [11, 12, 11]
    assert section_ids("<segment:a//cid=11> <base//cid=5>") == {11, 5}


def test_a_prompt_of_nothing_but_regions_is_refused() -> None:
    with pytest.raises(BadInput, match="more than 100 regions"):
        split_sections("<region:0,0,1,1>" * (MAX_PARTS + 1))


TAGS = st.sampled_from(
    [
        "segment",
        "region",
        "object",
        "base",
        "random",
        "wc",
        "p",
        "param",
        "lora",
        "embed",
        "trigger",
        "setvar",
        "macro",
        "setmacro",
        "var",
        "repeat",
        "alt",
        "fromto",
        "extend",
        "clear",
        "break",
    ]
)
PIECES = st.sampled_from(
    ["<", ">", ":", "[", "]", "|", ",", "0.5", "1-9", "face", "//cid=11", "\x01", "\x05", "{value}", "x"]
)
PROMPTS = st.lists(st.one_of(TAGS.map(lambda name: "<" + name), PIECES, st.text(max_size=3)), max_size=40).map("".join)


@given(PROMPTS)
def test_any_prompt_is_read_quickly_and_only_once(prompt: str) -> None:
    started = time.process_time()
    context = TagContext(TABLE, lambda: Draws(3))
    try:
        text = expand(prompt, context).text
        parts = split_sections(text)
    except BadInput:
        return
    drawn = [parts.for_base(), *map(parts.for_segment, parts.segments), *(one.text for one in parts.regions)]
    assert sum(map(len, drawn)) <= 4 * len(text) * (len(parts.segments) + 1) + 8
    assert all(0 <= one.x <= 1 and one.x + one.width <= 1.0000001 for one in parts.regions)
    assert time.process_time() - started < 2


def test_the_refining_prompt_keeps_the_regions() -> None:
    prompt = "a beach <region:0.1,0,0.9,0.5,-0.25//cid=11>a boat<object:0.5,0.5,0.75,0.75//cid=12>a dog"
    parts = split_sections(prompt + "<base//cid=5>rough<refiner//cid=1>fine")
    told = split_sections(parts.refining())
    assert told.for_base() == "a beach  fine"
    assert told.for_background() == "a beach"
    assert [replace(one, is_object=False) for one in parts.regions] == list(told.regions)
    assert split_sections("a cat <refiner//cid=1>fine").refining() == "a cat  fine"
