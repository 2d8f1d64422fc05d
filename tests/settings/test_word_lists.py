"""Word lists and languages from files (swarm-core 9.5, 9.6)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarm.settings.languages import Languages
from swarm.settings.page import AutoCompleteSettings
from swarm.settings.word_lists import WordLists, entries_of, fields_of
from tests.conftest import World
from tests.support.client import SwarmClient


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("a", ["a"]),
        ("a,b,", ["a", "b", ""]),
        ('a,"b,c",d', ["a", "b,c", "d"]),
        ('a,"say ""hi""",d', ["a", 'say "hi"', "d"]),
        ('a,b"c"d', ["a", 'b"c"d']),
        (r"a\bc,d", ["ac", "d"]),
        ('"a,b"', ["a,b"]),
        ("a\\", ["a"]),
    ],
)
def test_the_fields_of_a_line(line: str, fields: list[str]) -> None:
    assert fields_of(line) == fields


def test_entries_follow_the_settings() -> None:
    text = '# comment\n\n1girl,0,6000000,"girl,girls"\nlong_hair_(style),42\n plain \n'
    plain = AutoCompleteSettings(escape_parens=False)
    assert entries_of(text, plain) == [
        "1girl\n1girl\n0\n6000000\ngirl,girls",
        "long_hair_(style)\nlong_hair_(style)\n0\n42\n",
        "plain\nplain",
    ]
    dressed = AutoCompleteSettings(spacing_mode="Spaces", suffix=", (x)")
    assert entries_of(text, dressed)[1] == "long hair \\(style\\), \\(x\\)\nlong_hair_(style)\n0\n42\n"
    assert entries_of("a b", AutoCompleteSettings(spacing_mode="Underscores")) == ["a_b\na b"]


def test_only_lists_of_the_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    home = tmp_path / "Autocompletions"
    (home / "deep").mkdir(parents=True)
    (home / "deep" / "tags.csv").write_text("cat,5\n")
    (home / "notes.md").write_text("no list")
    lists = WordLists(home)
    assert lists.names() == ["deep/tags.csv"]
    assert lists.entries(AutoCompleteSettings(source="deep/tags.csv")) == ["cat\ncat\n0\n5\n"]
    (home / "deep" / "tags.csv").write_text("longer list\nof words\n")
    assert lists.entries(AutoCompleteSettings(source="deep/tags.csv")) == [
        "longer list\nlonger list",
        "of words\nof words",
    ]
    for source in ("", "../secret.txt", "notes.md", "none.txt", "/etc/passwd"):
        assert lists.entries(AutoCompleteSettings(source=source)) is None


def test_files_act_over_the_wire(world: World, client: SwarmClient) -> None:
    (world.data / "Autocompletions").mkdir()
    (world.data / "Autocompletions" / "tags.txt").write_text("cat\n")
    (world.data / "Languages").mkdir()
    french = {"name_en": "French", "name_local": "Français", "keys": {"Generate": "Générer", "Later": ""}}
    (world.data / "Languages" / "fr.json").write_text(json.dumps(french))
    shown = client.post("GetUserSettings")["settings"]
    assert shown["language"]["values"] == ["en", "fr"]
    assert shown["autocomplete"]["value"]["source"]["values"] == ["", "tags.txt"]
    assert client.post("GetMyUserData")["autocompletions"] is None
    wanted = {"language": "fr", "autocomplete.source": "tags.txt"}
    assert client.post("ChangeUserSettings", settings=wanted) == {"success": True}
    told = client.post("GetMyUserData")
    assert (told["language"], told["autocompletions"]) == ("fr", ["cat\ncat"])
    assert client.post("GetLanguage", language="fr") == {
        "language": {"code": "fr", "name": "French", "local_name": "Français", "keys": {"Generate": "Générer"}}
    }
    for code in ("xx", "../fr", "FR", ""):
        assert client.post("GetLanguage", language=code) == {"error": "No such language."}


def test_a_broken_language_is_none(tmp_path: Path) -> None:
    for code, text in {"de": "{", "it": "[]", "pt": '{"keys": 1}'}.items():
        (tmp_path / f"{code}.json").write_text(text)
        assert Languages(tmp_path).find(code) is None
    assert Languages(tmp_path / "none").codes() == ["en"]
