from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from swarm.base.errors import BadInput
from swarm.catalog.listing import list_folder
from swarm.catalog.model import ModelEntry, ModelInfo


def entry(name: str, *, created: int = 0, modified: int = 0, title: str | None = None) -> ModelEntry:
    return ModelEntry(
        subtype="LoRA",
        name=name,
        path=Path(name),
        found_in=Path(),
        mtime_ns=modified,
        created_ns=created,
        size=0,
        info=replace(ModelInfo(), title=title),
    )


TREE = [entry(name) for name in ("top.sft", "a/one.sft", "a/b/two.sft", "a/b/c/three.sft", "ab/four.sft")]


@pytest.mark.parametrize(
    ("path", "depth", "folders", "files"),
    [
        ("", 1, ("a", "ab"), ["top.sft"]),
        ("", 2, ("a", "a/b", "ab"), ["a/one.sft", "ab/four.sft", "top.sft"]),
        ("", 99, ("a", "a/b", "a/b/c", "ab"), sorted(each.name for each in TREE)),
        ("a", 1, ("b",), ["a/one.sft"]),
        ("\\a//b/", 1, ("c",), ["a/b/two.sft"]),
        ("/a/", 0, ("b",), ["a/one.sft"]),
        ("A", 1, (), []),
        ("nowhere", 3, (), []),
    ],
)
def test_a_folder_shows_what_lies_below_it(path: str, depth: int, folders: tuple[str, ...], files: list[str]) -> None:
    listing = list_folder(TREE, path, depth)
    assert listing.folders == folders
    assert [each.name for each in listing.entries] == files


@pytest.mark.parametrize(
    ("sort_by", "order"),
    [("Name", "abc"), ("title", "cab"), ("DateCreated", "bca"), ("DATEMODIFIED", "acb")],
)
def test_sorting(sort_by: str, order: str) -> None:
    entries = [
        entry("a", title="M", created=1, modified=9),
        entry("b", title="Z", created=3, modified=1),
        entry("c", title="A", created=2, modified=5),
    ]
    assert "".join(each.name for each in list_folder(entries, "", 1, sort_by=sort_by).entries) == order
    reverse = list_folder(entries, "", 1, sort_by=sort_by, reverse=True)
    assert "".join(each.name for each in reverse.entries) == order[::-1]


def test_an_unknown_order_is_named() -> None:
    with pytest.raises(BadInput, match=r"^Invalid sort mode 'Size'\.$"):
        list_folder(TREE, "", 1, sort_by="Size")
