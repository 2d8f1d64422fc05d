"""Settings files as other programs, people and accidents write them: read or refused, and nothing in them is lost."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from swarm.backends.store import read_records, write_records
from swarm.base import fds
from swarm.base.errors import BadInput
from swarm.settings.file import load_settings, save_settings
from swarm.settings.server import NetworkSettings, ServerSettings
from swarm.settings.user import UserSettings

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=30)
KEYS = TEXTS.filter(lambda key: key != "")
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        TEXTS | st.binary(min_size=1, max_size=20),
        lambda inner: st.lists(inner, min_size=1, max_size=4) | st.dictionaries(KEYS, inner, min_size=1, max_size=4),
        max_leaves=8,
    ),
    max_size=5,
)
SWARM_UI = """\
# Which types are loaded, and from where
Paths:
\tModelRoot: Models;dlbackend/ComfyUI/models
\tSDLoraFolder: Lora;loras
IsInstalled: true
InstallDate: 2024-05-01
Network:
\tPort: 7801
\tCloudflaredPath: \\x
DefaultUser:
\tFileFormat:
\t\tImageFormat: JPG
\tRoles:
\t- owner
\tAutoCompletionsSource: danbooru.csv
WebHooks:
\tEveryGenWebhook: https://example.org/x?a=b:c
\tEveryGenWebhookData: {"content": "%image%"}
DisabledExtensions:
- ScribbleExtension
"""


def reread(tree: Any) -> Any:
    return fds.parse(fds.write(tree))


@given(TREES)
@settings(max_examples=60)
def test_what_is_written_is_read_again(tree: dict[str, Any]) -> None:
    assert reread(tree) == tree


@given(st.binary(max_size=300) | st.text(st.sampled_from("a:=->#\\ \t\nx."), max_size=80).map(str.encode))
@settings(max_examples=100)
@example(b"\xff\xfe\x00a")
@example(b"a:\n  b:\n c: 1")
def test_no_file_stops_the_server(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "Settings.fds"
        path.write_bytes(data)
        found = load_settings(path)
        save_settings(found, path)
        assert load_settings(path) == found
        path.write_bytes(data)
        try:
            read_records(path)
        except BadInput as error:
            assert error.sentence.endswith((".", data[-1:].decode("latin-1"))) or len(error.sentence) > 10


@given(
    st.builds(
        replace,
        st.just(NetworkSettings()),
        port=st.integers(1, 65535),
        host=TEXTS,
        required_authorization=TEXTS,
        allowed_hosts=TEXTS,
    ),
    st.builds(
        replace,
        st.just(UserSettings()),
        save_files=st.booleans(),
        generate_forever_delay=st.floats(allow_nan=False, allow_infinity=False),
        roles=st.lists(KEYS, max_size=3).map(tuple),
    ),
    TREES,
)
@settings(max_examples=25)
def test_settings_come_back_and_unknown_keys_stay(network: Any, user: Any, strange: dict[str, Any]) -> None:
    known = {field.metadata["setting"].name.lower() for field in fields(ServerSettings)}
    strange = {key: value for key, value in strange.items() if key.lower() not in known}
    wanted = replace(ServerSettings(), network=network, default_user=user)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "Settings.fds"
        path.write_text(fds.write(strange), encoding="utf-8")
        save_settings(wanted, path)
        assert load_settings(path) == wanted
        kept = fds.parse(path.read_text("utf-8"))
        assert {key: kept[key] for key in strange} == strange


def test_a_folder_of_swarmui_can_be_pointed_at(tmp_path: Path) -> None:
    path = tmp_path / "Settings.fds"
    path.write_text(SWARM_UI, encoding="utf-8")
    found = load_settings(path)
    assert found.paths.model_root == "Models;dlbackend/ComfyUI/models"
    assert found.default_user.file_format.image_format == "JPG" and found.default_user.roles == ("owner",)
    assert found.web_hooks.every_gen == "https://example.org/x?a=b:c"
    assert found.web_hooks.every_gen_data == '{"content": "%image%"}'
    save_settings(found, path)
    before, after = fds.parse(SWARM_UI), fds.parse(path.read_text("utf-8"))

    def lost(old: Any, new: Any) -> bool:
        if isinstance(old, dict):
            return any(key not in new or lost(old[key], new[key]) for key in old)
        return bool(old != new)

    assert not lost(before, after)


def test_backends_of_swarmui_stay_in_their_file(tmp_path: Path) -> None:
    path = tmp_path / "Backends.fds"
    path.write_text(
        "0:\n\ttype: comfyui_selfstart\n\ttitle: Mine\n\tenabled: true\n\tsettings:\n\t\tGPU_ID: 0\n", "utf-8"
    )
    records = read_records(path)
    assert records is not None
    write_records(path, records)
    assert read_records(path) == records and records[0].settings == {"GPU_ID": "0"}
