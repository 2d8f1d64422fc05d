from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

import swarm.prompt.tags
from swarm.base.errors import BadInput
from swarm.base.registry import DuplicateId, Registry, collect
from swarm.prompt.docs import prompt_syntax_page
from swarm.prompt.dotnet_random import DotnetRandom
from swarm.prompt.expand import expand, tag_table
from swarm.prompt.lexer import TagUse
from swarm.prompt.tag import Draws, LoraTag, PromptTag, TagContext, prompt_tag

TAGS = collect(swarm.prompt.tags, PromptTag)
TABLE = tag_table(TAGS)


@dataclass
class Lists:
    """Wildcards and LoRAs by name, and a request whose only parameter is `steps`."""

    lists: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"animals": ["cat", "dog", "<random:fox>"], "twice": ["a", "x", "a"]}
    )
    steps: str = "20"

    def find(self, name: str) -> tuple[str, Sequence[str]] | None:
        return (name, self.lists[name]) if name in self.lists else None

    sections: dict[int, str] = field(default_factory=dict)

    def text(self, name: str, section: int) -> str | None:
        return self.sections.get(section, self.steps) if name == "steps" else None

    def set(self, name: str, value: str, section: int) -> bool:
        if not value.isdigit():
            raise BadInput("not a number")
        if section:
            self.sections[section] = value
        else:
            self.steps = value
        return name == "steps"

    def trigger_phrases(self) -> Sequence[str]:
        return ("zebra", "")

    def apply_preset(self, title: str) -> str | None:
        return {"wrap": "(<random:x> {value}:1.1)", "add": "more", "silent": "", "loop": "<preset:loop>"}.get(title)


class TwoLoras:
    def find(self, name: str) -> str | None:
        return "Zoo/ink" if name in ("ink", "zoo/ink") else None

    def count(self) -> int:
        return 2

    def trigger_phrase(self, name: str) -> str:
        return "drawn, inky"


class OneEmbedding:
    def find(self, name: str) -> str | None:
        return "neg/hands" if name in ("hands", "neg/hands") else None


def context(seed: int = 1) -> TagContext:
    return TagContext(
        TABLE,
        lambda: Draws(seed),
        wildcards=Lists(),
        known_loras=TwoLoras(),
        known_embeddings=OneEmbedding(),
        parameters=Lists(),
    )


def drawn(prompt: str, seed: int = 1) -> str:
    return expand(prompt, context(seed)).text


@pytest.mark.parametrize(
    ("seed", "draws"),
    [(1, [534011718, 237820880, 1002897798, 1657007234, 1412011072]), (42, [1434747710, 302596119, 269548474])],
)
def test_the_generator_draws_what_dotnet_draws(seed: int, draws: list[int]) -> None:
    rng = DotnetRandom(seed)
    assert [rng.draw() for _ in draws] == draws


@pytest.mark.parametrize(("seed", "picks"), [(1, "0 0 1 1 0 0 2 1"), (42, "1 0 0 0 2 0 1 0")])
def test_random_picks_what_the_same_seed_picks_elsewhere(seed: int, picks: str) -> None:
    assert drawn(" ".join(["<random:0,1,2>"] * 8), seed) == picks


@pytest.mark.parametrize(("seed", "picks"), [(42, [1, 1, 3, 5, 3, 5, 5, 1]), (1, [3, 3, 2, 5, 5, 2, 2, 3])])
def test_ranges_draw_what_the_same_seed_draws_elsewhere(seed: int, picks: list[int]) -> None:
    rng = DotnetRandom(seed + 17)
    assert [rng.between(1, 5) for _ in picks] == picks


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("a cat", "a cat"),
        ("a <unknown:b> c", "a <unknown:b> c"),
        ("a < b <random:x>", "a < b <random:x>"),
        ("<random:only> one", "only one"),
        ("<RANDOM:<random:deep>>", "deep"),
        ("<random[3]:a,a>", "a a a"),
        ("<random[2,]:a,a>", "a, a,"),
        ("<random[0]:a>", ""),
        ("<random:7-7>", "7"),
        ("<random[x]:a>", "<random[x]:a>"),
        ("<repeat[3]:ha>", "ha ha ha"),
        ("<repeat:2,ho, ho>", "ho, ho ho, ho"),
        ("<alternate:cat,dog>", "[cat|dog]"),
        ("<alt:a||b|c>", r"[a|b\|c]"),
        ("<alt:<alt:a,b>||(x:1.2)>", r"[[a|b]|(x\:1.2)]"),
        ("<fromto[0.4]:cat,dog>", "[cat:dog:0.4]"),
        ("<fromto[10]:cat,dog>", "[cat:dog:10]"),
        ("x<comment:<random:y>>z", "xz"),
        ("a <break> b", "a <break> b"),
        ("<setvar[v]:cat> and <var:v> <var[v]>", "cat and cat cat"),
        ("<setvar[v,false]:cat>and <var:v>", "and cat"),
        ("<setmacro[m,false]:<var:v>><setvar[v]:x> <macro:m>", "x x"),
        ("<param[steps]:30><param:steps>", "30"),
        ("<lora:ink:0.5:0.2>a", "a"),
        ("<wildcard:animals,not=cat|dog>", "fox"),
        ("<wc:animals,not=cat|dog|<random:fox>>", "fox"),
        ("<wc:animals,not=cat|dog|<random:<random:fox>>>", "fox"),
        ("<wc:twice,not=x>", "a"),
        ("a <preset:wrap>b", "(x a b:1.1)"),
        ("a<p:add>, b<p:wrap>", "(x a, bmore:1.1)"),
        ("a<p:wrap>, b<p:wrap>", "(x (x a, b:1.1):1.1)"),
        ("a <random:b<p:wrap>> c", "a (x b:1.1) c"),
        ("<repeat[1.5]:a> <repeat:2>", "a a "),
        ("<lora:ink> a ", " a "),
        ("<repeat[2]:<preset:silent>a>", "a a"),
        ("a <preset:nope>", "a <preset:nope>"),
        ("a\x00b\x01[", "ab["),
        ("<embed:Hands>, <embedding:neg\\hands>", "<embed:neg/hands>, <embed:neg/hands>"),
        ("<repeat[2]:<embed:hands>>", "<embed:neg/hands> <embed:neg/hands>"),
        (r"a embedding:neg\hands, (embedding:Neg/hands:1.2)", "a <embed:neg/hands>, (<embed:neg/hands>:1.2)"),
        ("embedding:hands no_embedding:neg/hands", "embedding:hands no_embedding:neg/hands"),
        ("<trigger>", "zebra"),
        ("<trigger> <lora:ink> <trigger>", "zebra, drawn, inky  zebra, drawn, inky"),
        ("a <base>b <refiner>c", "a <base//cid=5>b <refiner//cid=1>c"),
        ("<pixeldecoder> <video> <videoswap>", "<pixeldecoder//cid=4> <video//cid=2> <videoswap//cid=3>"),
        ("<SEGMENT:face> a <object:0,0,1,1> b", "<segment:face//cid=11> a <object:0,0,1,1//cid=12> b"),
        ("<refiner> <segment:a> <extend:9>", "<refiner//cid=1> <segment:a//cid=11> <extend:9//cid=12>"),
        ("<region:0,0,1,1>a<region:end>b", "<region:0,0,1,1//cid=11>a<region:end//cid=0>b"),
        ("<clear:sky> <segment:>", "<clear:sky> <segment:>"),
        ("<segment:<random:a,b>>", "<segment:<random:a,b>//cid=11>"),
        (
            "<segment:a//cid=14> <segment:b> <random:<segment:c>>",
            "<segment:a//cid=14> <segment:b//cid=15> <segment:c//cid=16>",
        ),
        (
            "<param[steps]:30><refiner><param[steps]:5><param:steps><region:end><param:steps>",
            "<refiner//cid=1>5<region:end//cid=0>30",
        ),
        ("<base//cid=5>b", "<base//cid=5>b"),
    ],
)
def test_tags_are_replaced(prompt: str, text: str) -> None:
    assert drawn(prompt) == text


@pytest.mark.parametrize(
    ("prompt", "text", "warning"),
    [
        ("<random:>", "<random:>", "Random input '' is empty and will be ignored."),
        ("<alt: >", "<alt: >", "Alternate input ' ' is empty and will be ignored."),
        (
            "<fromto[x]:a,b>",
            "<fromto[x]:a,b>",
            "FromTo input 'fromto[x]:a,b' has invalid predata step-index (not a number) and will be ignored.",
        ),
        ("<fromto[1]:a>", "<fromto[1]:a>", "FromTo input 'a' is invalid (len=1, should be 2) and will be ignored."),
        ("<wc:cars>", "<wc:cars>", "Wildcard input 'cars' does not match any wildcard file and will be ignored."),
        ("<repeat[x]:a>", "<repeat[x]:a>", "Repeat input 'a' has invalid count (not a number) and will be ignored."),
        ("<param:x>", "<param:x>", "Parameter 'x' does not exist and will be ignored."),
        ("<preset:x>", "<preset:x>", "Preset 'x' does not exist and will be ignored."),
        ("<lora:x>", "<lora:x>", "Lora 'x' does not exist and will be ignored (out of 2 existing loras)."),
        ("<lora:ink:nan>", "<lora:ink:nan>", "Lora 'ink' has an invalid weight (not a number) and will be ignored."),
        ("<setvar:a>", "<setvar:a>", "A variable name is required when using setvar."),
        ("a<var:x>", "a", "Variable 'x' is not recognized."),
        ("<setmacro[]:a>", "<setmacro[]:a>", "A macro name is required when using setmacro."),
        ("a<macro:x>", "a", "Macro 'x' is not recognized."),
        ("a<embed:feet>", "a", "Embedding 'feet' does not exist and will be ignored."),
        ("<param[]:a>", "<param[]:a>", "Prompt tag 'param' requires pre-data to specify the parameter name."),
    ],
)
def test_tags_that_make_no_sense_get_a_warning(prompt: str, text: str, warning: str) -> None:
    expanded = expand(prompt, context())
    assert (expanded.text, expanded.warnings) == (text, (warning,))


def test_both_prompts_share_randomness_and_variables() -> None:
    shared = context()
    first = expand("<setvar[a]:<random:0,1,2>> <random:0,1,2> <random:0,1,2>", shared)
    second = expand("<random:0,1,2> <var:a>", shared)
    assert (first.text, second.text) == ("0 0 1", "1 0")


def test_a_prompt_without_choices_draws_nothing() -> None:
    def seed() -> Draws:
        raise AssertionError("nothing was to be drawn")

    assert expand("a <comment:b>", TagContext(TABLE, seed)).original == "a <comment:b>"


def test_loras_and_wildcards_are_reported_with_the_text_that_used_them() -> None:
    shared = context()
    first = expand("<lora:Ink:0.5:0.25> <wc:animals>", shared)
    second = expand("<random:<lora:ink>>", shared)
    assert first.loras == (LoraTag("Zoo/ink", 0.5, 0.25, 0),)
    assert (second.loras, second.wildcards) == ((LoraTag("Zoo/ink", 1.0),), ())
    assert first.wildcards == ("animals",)


def test_loras_belong_to_the_section_they_stand_in() -> None:
    prompt = "<lora:ink> a <refiner> <lora:ink:2> <segment:face> <random:<lora:ink:3>> <region:end> <lora:ink:4>"
    loras = expand(prompt, context()).loras
    assert sorted((int(lora.weight), lora.section) for lora in loras) == [(1, 0), (2, 1), (3, 11), (4, 0)]


def test_a_section_that_is_picked_at_random_holds_what_follows_it() -> None:
    expanded = expand("<random:<segment:face>> <lora:ink>", context())
    assert expanded.loras[0].section == 11


def test_parts_of_the_negative_prompt_are_those_of_the_prompt() -> None:
    shared = context()
    expand("<segment:face> a <segment:hand> b <segment:face> c", shared)
    negative = expand("<segment:face> x <segment:face> y <segment:foot> z", shared)
    assert negative.text == "<segment:face//cid=11> x <segment:face//cid=13> y <segment:foot//cid=14> z"


@pytest.mark.parametrize("prompt", ["a <segment:face> <random:<region:0,0,1,1>b,c> <extend:5> [a|b] <embed:hands>"])
def test_an_expanded_prompt_expands_to_itself(prompt: str) -> None:
    once = drawn(prompt)
    assert drawn(once) == once


def test_the_seed_may_be_the_number_of_the_option() -> None:
    by_index = TagContext(TABLE, lambda: Draws(7, by_index=True), wildcards=Lists())
    assert expand("<random:a,b,c> <random[2]:a,b,c> <wc:animals>", by_index).text == "b b c dog"


def test_picks_do_not_repeat_before_all_were_picked() -> None:
    for seed in range(20):
        words = drawn("<random[6]:a,b,c>", seed).split()
        assert sorted(words[:3]) == sorted(words[3:]) == ["a", "b", "c"]


def test_a_decimal_range_keeps_its_decimals() -> None:
    values = {drawn("<random:0.5-0.75>", seed) for seed in range(30)}
    assert all(0.5 <= float(value) <= 0.75 and len(value) == 4 for value in values)
    assert len(values) > 5


def test_a_macro_that_calls_itself_ends_with_a_warning() -> None:
    expanded = expand("<setmacro[m]:x <macro:m>>", context())
    assert expanded.warnings[0] == "Recursive prompt tags - infinite loop, cannot return valid result."


@pytest.mark.parametrize(
    "bomb",
    [
        "<repeat[99999999]:a>",
        "<repeat[1000]:<repeat[1000]:<repeat[1000]:a>>>",
        "<random[1e300]:a,b>",
        "<setmacro[m]:<macro:m><macro:m>>",
        "".join(f"<setvar[v{n + 1},false]:<var:v{n}><var:v{n}>>" for n in range(40)) + "<setvar[v0]:x>",
        "<setvar[v0,false]:x>" + "".join(f"<setvar[v{n + 1},false]:<var:v{n}><var:v{n}>>" for n in range(40)),
        "<random:" * 50_000 + "x" + ">" * 50_000,
        "<repeat[50000]:" + "x" * 50_000 + ">",
    ],
)
def test_bombs_end_quickly(bomb: str) -> None:
    started = time.process_time()
    try:
        text = drawn(bomb)
    except BadInput as error:
        text = error.sentence
    assert len(text) < 2_000_000
    assert time.process_time() - started < 10


def test_a_tag_is_one_declared_value() -> None:
    @prompt_tag("shout", "yell")
    def shout(tag: TagUse, context: TagContext) -> str | None:
        """`<shout:text>` writes the text in capitals."""
        return context.expand(tag.body).upper()

    table = tag_table(TAGS.joined(Registry([("here", shout)])))
    assert expand("<yell:a <random:b>>", TagContext(table, lambda: Draws(1))).text == "A B"


def test_two_tags_cannot_share_a_name() -> None:
    @prompt_tag("other", "random")
    def other(tag: TagUse, context: TagContext) -> str | None:
        """A clash."""
        return ""

    with pytest.raises(DuplicateId, match="random"):
        tag_table(TAGS.joined(Registry([("here", other)])))


def test_the_syntax_page_documents_every_tag() -> None:
    page = prompt_syntax_page(TAGS)
    assert all(f"## `<{name}>`" in page for name in TAGS)
    assert all(len(tag.doc) > 20 for tag in TAGS.values())
