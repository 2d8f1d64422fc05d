"""Prompts with random choices, compared with what SwarmUI's rules make of them: the same seed draws the same text.

`expected/prompts.json` was written by another reading of those rules, of the generator and of the order of its draws;
the prompts are machine-made.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import swarm.prompt.tags
from swarm.base.registry import collect
from swarm.prompt.expand import expand, tag_table
from swarm.prompt.tag import Draws, NoParameters, PromptTag, TagContext

TABLE = tag_table(collect(swarm.prompt.tags, PromptTag))
CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "expected" / "prompts.json").read_text())
LISTS = {
    "animals": ["cat", "dog", "fox", "owl", "cat"],
    "colors": ["red", "green", "blue <random:dark,light>", "1-3"],
    "deep": ["<wc:animals> one", "<random[2]:x,y,z>"],
}
PRESETS = {"wrap": "big {value}, sharp <random:a,b>", "add": ", <wc:colors>"}


class Lists:
    def find(self, name: str) -> tuple[str, Sequence[str]] | None:
        return (name, LISTS[name]) if name in LISTS else None


class Presets(NoParameters):
    def apply_preset(self, title: str) -> str | None:
        return PRESETS.get(title)


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_a_seed_draws_what_it_draws_in_swarmui(case: dict[str, Any]) -> None:
    draws = Draws(case["seed"], by_index=case["by_index"])
    context = TagContext(TABLE, lambda: draws, wildcards=Lists(), parameters=Presets())
    assert expand(case["prompt"], context).text == case["text"]
