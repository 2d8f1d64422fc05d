"""Extensions put in and taken out: whole, only plain files, and nothing of them runs."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from swarm.base.errors import BadInput, NotFound, Refused
from swarm.extend.load import load_extensions
from swarm.extend.manage import MOST_FILES, ExtensionFolder

TOML = 'id = "shiny"\nname = "Shiny Things"\nversion = "1"\n'
CODE = "raise SystemExit('it was run')\n"


def packed(files: dict[str, str], *, link: str | None = None) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as writing:
        for name, text in files.items():
            writing.writestr(name, text)
        if link is not None:
            info = zipfile.ZipInfo(link)
            info.external_attr = 0o120777 << 16
            writing.writestr(info, "/etc/passwd")
    return held.getvalue()


GOOD = {"shiny-main/extension.toml": TOML, "shiny-main/thing.py": CODE, "shiny-main/.gitignore": "*.pyc\n"}


@pytest.fixture
def home(tmp_path: Path) -> ExtensionFolder:
    gone = tmp_path / "gone"
    gone.mkdir()
    return ExtensionFolder(
        tmp_path / "extensions", lambda path: path.rename(gone / f"{path.name}-{len(list(gone.iterdir()))}")
    )


def names(home: ExtensionFolder) -> list[str]:
    return sorted(path.name for path in home.folder.iterdir())


def test_an_archive_becomes_an_extension_and_is_not_run(home: ExtensionFolder) -> None:
    assert home.install(packed(GOOD), "https://example.org/shiny.zip").id == "shiny"
    assert names(home) == ["shiny"]
    (found,) = home.installed()
    assert (found.enabled, found.origin) == (True, "https://example.org/shiny.zip")
    assert (found.folder / "thing.py").read_text() == CODE
    with pytest.raises(Refused, match=r"Extension already installed\."):
        home.install(packed(GOOD), "https://example.org/shiny.zip")


def test_switching_off_keeps_it_from_being_loaded(home: ExtensionFolder) -> None:
    home.install(packed({"extension.toml": TOML, "thing.py": "VALUE = 1\n"}), "x")
    assert [each.manifest.id for each in load_extensions(home.folder)] == ["shiny"]
    home.set_enabled("shiny things", False)
    assert load_extensions(home.folder) == [] and not home.find("shiny").enabled
    with pytest.raises(Refused, match=r"Extension is already disabled\."):
        home.set_enabled("shiny", False)
    home.set_enabled("shiny", True)
    assert len(load_extensions(home.folder)) == 1


def test_an_update_replaces_all_of_it_and_keeps_the_old_state(home: ExtensionFolder, tmp_path: Path) -> None:
    home.install(packed(GOOD), "x")
    home.set_enabled("shiny", False)
    assert home.update("shiny", packed(GOOD)) is False
    assert home.update("shiny", packed({"extension.toml": TOML.replace('"1"', '"2"')})) is True
    found = home.find("shiny")
    assert (found.manifest.version, found.enabled, found.origin) == ("2", False, "x")
    assert not (found.folder / "thing.py").exists()
    assert (tmp_path / "gone" / "shiny-0" / "thing.py").exists()
    with pytest.raises(BadInput, match="another extension"):
        home.update("shiny", packed({"extension.toml": TOML.replace("shiny", "other")}))


def test_removing_moves_it_away(home: ExtensionFolder, tmp_path: Path) -> None:
    home.install(packed(GOOD), "x")
    home.remove("SHINY")
    assert names(home) == [] and (tmp_path / "gone" / "shiny-0").is_dir()
    for act in (home.remove, home.find):
        with pytest.raises(NotFound, match=r"Unknown extension\."):
            act("shiny")


HOSTILE = {
    "up": packed({**GOOD, "shiny-main/../../evil.py": "x"}),
    "absolute": packed({"/extension.toml": TOML}),
    "backslash": packed({"extension.toml": TOML, "a\\b.py": "x"}),
    "drive": packed({"extension.toml": TOML, "C:evil.py": "x"}),
    "twice": packed({"extension.toml": TOML, "a.py": "x", "A.py": "x"}),
    "two folders": packed({"a/extension.toml": TOML, "b/x.py": ""}),
    "none": packed({"readme.md": "x"}),
    "deep": packed({"a/b/extension.toml": TOML}),
    "bad id": packed({"extension.toml": TOML.replace('"shiny"', '"../x"')}),
    "bad toml": packed({"extension.toml": TOML + "version = 1"}),
    "link": packed(GOOD, link="shiny-main/passwd"),
    "many": packed({**GOOD, **{f"shiny-main/{number}": "" for number in range(MOST_FILES)}}),
    "no zip": b"not a zip file",
    "cut": packed(GOOD)[:-40],
}


@pytest.mark.case("T13")
@pytest.mark.parametrize("name", HOSTILE)
def test_anything_odd_is_refused_and_leaves_nothing(home: ExtensionFolder, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        home.install(HOSTILE[name], "x")
    assert names(home) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["extensions", "gone"]
