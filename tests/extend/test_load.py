"""Extensions are loaded from folders; a broken one harms nobody."""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from swarm.app import PROGRAM
from swarm.base.registry import Registry, declared_in
from swarm.diffusion.sampler import Sampler
from swarm.extend.load import load_extensions
from tests.numerics.gaussian import Silence

MANIFEST = 'id = "{id}"\nname = "{id}"\nversion = "1"\n'


def write(folder: Path, extension: str, code: str, manifest: str = MANIFEST) -> None:
    """An extension with one module."""
    home = folder / extension
    home.mkdir(parents=True)
    (home / "extension.toml").write_text(manifest.format(id=extension))
    (home / "thing.py").write_text(code)


def test_modules_are_found_and_may_import_each_other(tmp_path: Path) -> None:
    write(tmp_path, "first_ext", "from extensions.first_ext.parts.more import WORD\nSAID = WORD\n")
    (tmp_path / "first_ext" / "parts").mkdir()
    (tmp_path / "first_ext" / "parts" / "__init__.py").write_text("")
    (tmp_path / "first_ext" / "parts" / "more.py").write_text("WORD = 'hi'\n")
    (tmp_path / "first_ext" / "__init__.py").write_text('"""About."""\nREADY = True\n')
    (tmp_path / "not_one").mkdir()
    (loaded,) = load_extensions(tmp_path)
    assert loaded.manifest.id == "first_ext"
    assert [module.__name__ for module in loaded.modules] == [
        "extensions.first_ext",
        "extensions.first_ext.parts",
        "extensions.first_ext.parts.more",
        "extensions.first_ext.thing",
    ]
    assert loaded.modules[0].READY and loaded.modules[-1].SAID == "hi"
    assert load_extensions(tmp_path)[0].modules[-1] is loaded.modules[-1]


def test_another_folder_replaces_what_was_loaded(tmp_path: Path) -> None:
    write(tmp_path / "a", "twin_ext", "VALUE = 1\n")
    write(tmp_path / "b", "twin_ext", "VALUE = 2\n")
    values = [load_extensions(tmp_path / each)[0].modules[-1].VALUE for each in "ab"]
    assert values == [1, 2]


@pytest.mark.parametrize(
    ("code", "manifest"),
    [
        ("raise RuntimeError('no')", MANIFEST),
        ("import sys; sys.exit(3)", MANIFEST),
        ("def broken(:", MANIFEST),
        ("import no_such_module_anywhere", MANIFEST),
        ("", "id = 5\n"),
        ("", "not toml"),
        ("", 'id = "other"\nname = "x"\nversion = "1"\n'),
        ("", 'id = "{id}"\nversion = "1"\n'),
    ],
)
@pytest.mark.case("F25")
def test_a_broken_one_is_reported_and_skipped(
    tmp_path: Path, code: str, manifest: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "bad_ext", code, manifest)
    write(tmp_path, "good_ext", "FINE = True\n")
    with caplog.at_level(logging.ERROR):
        assert [each.manifest.id for each in load_extensions(tmp_path)] == ["good_ext"]
    assert "bad_ext" in caplog.text


def test_no_folder_means_no_extensions(tmp_path: Path) -> None:
    assert load_extensions(tmp_path / "none") == []


def test_the_halfway_sampler_is_of_second_order() -> None:
    """Against the closed form for data of unit variance, where the way of x is sqrt(1 + sigma²)."""
    (hello,) = [each for each in load_extensions(PROGRAM / "extensions") if each.manifest.id == "hello"]
    found = Registry(pair for module in hello.modules for pair in declared_in(module, Sampler))
    sampler = found["hello_halfway"]

    def error(steps: int) -> Any:
        sigmas = [10 * (1 - index / steps) ** 2 for index in range(steps + 1)]
        assert all(before > after for before, after in pairwise(sigmas))
        run = sampler.run(100.0, sigmas, Silence())
        question = next(run)
        try:
            while True:
                question = run.send(question.x * (1 / (1 + question.sigma**2)))
        except StopIteration as finished:
            exact = 100.0 / (1 + 10.0**2) ** 0.5
            return abs(finished.value - exact)

    assert error(400) < error(200) / 3.5
