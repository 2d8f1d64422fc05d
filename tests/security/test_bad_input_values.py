"""Texts, names, numbers and prompts that nobody means: refused in a sentence, or kept as they are, by every route."""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarm.api.binding import arguments_of
from swarm.app import PROGRAM
from swarm.base.paths import clean_file_name
from swarm.declarations import collect_declarations
from swarm.extend.load import load_extensions
from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import options_for, server_in_thread

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 2, "seed": 5, "width": 64, "height": 64}
UNSAVED: dict[str, Any] = {**SMALL, "donotsave": True}
KNOWN = collect_declarations(
    [module for extension in load_extensions(PROGRAM / "extensions") for module in extension.modules]
)
SECRET = "the secret outside of every served folder"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("values"))
    made.backends(StepMilliseconds=0)
    write_model(made.models / "Stable-Diffusion" / "tiny.safetensors")
    write_model(made.models / "Lora" / "extra.safetensors", {"lora_unet_x.lora_down.weight": (2, 2)})
    (made.data / "Wildcards").mkdir()
    (made.data / "Wildcards" / "again.txt").write_text("<wildcard:again> and <wildcard:again>\n", encoding="utf-8")
    (made.data / "Wildcards" / "other.txt").write_text("<wildcard:again>\n" * 1000, encoding="utf-8")
    for folder in (made.folder, made.outputs, made.data):
        folder.mkdir(exist_ok=True)
        (folder / "secret.txt").write_text(SECRET, encoding="utf-8")
        (folder / "secret.png").write_text(SECRET, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[SwarmClient]:
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as made:
        yield made


def is_a_sentence(answer: dict[str, Any]) -> bool:
    """Whether an error is one that its reader can act on, and short."""
    text = answer.get("error")
    return isinstance(text, str) and 0 < len(text) < 1000 and "went wrong" not in text and "internal" not in text


# --- I5 -------------------------------------------------------------------------------------------------------------

TEXTS = {
    "NUL": "a\0b",
    "control": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "right to left": "exe.\u202egnp.cat",
    "line separators": "a\u2028b\u2029c\u0085d",
    "zero width": "a\u200bb\u200c\u200d\ufeff\u2060c",
    "composed": "caf\u00e9 \u1e69 \uac00",
    "decomposed": "cafe\u0301 s\u0323\u0307 \u1100\u1161",
    "combining": "a" + "\u0301\u0323" * 500,
    "a million combining": "a" + "\u0323\u0301" * 500_000,
    "astral": "\U0001f408\U0001f3fd\u200d\U0001f52c \U000e0041 \U0010ffff",
    "not characters": "\ufffe\uffff\ufdd0",
    "private": "\ue000\uf8ff",
    "wide": "\uff23\uff2f\uff2e\uff0e\uff30\uff2e\uff27 \uff0f\uff3c\u2215\u29f8",
    "case": "\u0130\u0131\u00df\u1e9e\ufb01\u01c5",
    "device": "CON",
    "device with ending": "nul.png",
    "superscript device": "COM\u00b9",
    "dots and blanks": "a. . .",
    "only dots": "...",
    "only blanks": " \t\u3000 ",
    "drive": "C:\\x",
    "stream": "x.png::$DATA",
    "tilde": "~root",
    "dash": "--help",
    "format": "%s%n{0}${x}{{7*7}}$(id)`id`",
    "markup": "</script><img src=x onerror=alert(1)>",
    "formula": "=cmd|' /C calc'!A0",
    "long": "x" * 100_000,
    "long part": "/".join(["y" * 300] * 20),
}


@pytest.mark.case("I5")
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_prompts_are_kept_to_the_letter(client: SwarmClient, text: str) -> None:
    """What is drawn and recorded is what was written; the blanks around it may go."""
    (made,) = client.post("AddImageToHistory", image=PICTURE, **{**SMALL, "prompt": text})["images"]
    assert json.loads(made["metadata"])["sui_image_params"]["prompt"].strip() == text.strip()
    src = made["image"].removeprefix("View/local/")
    listed = {one["src"]: one["metadata"] for one in client.post("ListImages", path="", depth=5)["files"]}
    assert json.loads(listed[src])["sui_image_params"]["prompt"].strip() == text.strip()
    assert client.post("DeleteImage", path=src) == {"success": True}


PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5Erk"
    "Jggg=="
)


@pytest.mark.case("I5")
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_names_become_names_that_every_system_can_hold(world: World, client: SwarmClient, text: str) -> None:
    before = set(world.folder.rglob("*"))
    for route, body in [
        ("AddImageToHistory", {"image": PICTURE, **SMALL, "overrideoutpathformat": f"named/{text}"}),
        ("AddImageToHistory", {"image": PICTURE, **SMALL, "overrideoutpathformat": "[prompt]", "prompt": text}),
        ("AddNewPreset", {"title": text, "description": text, "param_map": {"prompt": text}, "is_edit": True}),
        ("EditWildcard", {"card": text, "options": text, "preview_image": "", "preview_image_metadata": ""}),
        ("AdminAddUser", {"name": text, "password": "a long walk home", "role": text}),
        ("AdminAddRole", {"name": text}),
        ("RenameModel", {"oldName": text, "newName": text, "subtype": "LoRA"}),
        ("SetStarredModels", {"LoRA": [text]}),
        ("ChangeUserSettings", {"settings": {"language": text, text: text}}),
        ("ServerDebugMessage", {"message": text}),
        ("GetLanguage", {"language": text}),
        ("DescribeModel", {"modelName": text}),
    ]:
        answer = client.post(route, **body)
        assert answer.get("error_id") != "internal_error", route
        assert "error" not in answer or is_a_sentence(answer), (route, answer)
    session = (
        client.raw("GetNewSession", {}, **{"X-SWARM-USER_ID": text.encode("latin-1", "replace").decode("latin-1")})
        if text.isprintable() and text.isascii()
        else client.raw("GetNewSession", {})
    )
    assert session.status_code in (200, 431)
    for path in set(world.folder.rglob("*")) - before:
        assert is_portable(path.name), path.name[:100]
    assert "error" not in client.post("GetMyUserData") and "error" not in client.post("ListT2IParams")


INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


def is_portable(name: str) -> bool:
    """Whether Windows, macOS and Linux can hold a file of this name, and none confuses it with another."""
    stem = name.split(".")[0].strip().lower()
    return (
        len(name.encode()) <= 255
        and name == name.strip()
        and not name.endswith(".")
        and unicodedata.is_normalized("NFC", name)
        and not any(each in '<>:"/\\|?*' or unicodedata.category(each) in INVISIBLE for each in name)
        and stem not in {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789")}
    )  # fmt: skip


@pytest.mark.case("I5")
def test_two_spellings_of_one_name_are_one_name() -> None:
    for text in ("caf\u00e9", "\uac00", "\u1e69"):
        assert clean_file_name(unicodedata.normalize("NFD", text)) == text
    begun = time.perf_counter()
    clean_file_name(TEXTS["a million combining"])
    assert time.perf_counter() - begun < 5, "in proportion to its length; with the square it would be minutes"


# --- I8 -------------------------------------------------------------------------------------------------------------

PATHS = [
    *("../secret.txt", "..\\secret.txt", "../../secret.png", "%2e%2e%2fsecret.txt", "%252e%252e%252fsecret.txt"),
    *("..%c0%afsecret.txt", "....//secret.txt", "..;/secret.txt", "/etc/passwd", "C:\\Windows\\win.ini"),
    *("\\\\host\\share", "//host", "file:///etc/passwd", "~root", "secret.txt\0.png", ".git/config", "CON.png", "a."),
    *("z" * 5000, "\u2024\u2024/secret.txt", "..\uff0fsecret.txt", "raw/../../secret.txt", "./.././secret.txt", ""),
]
HARMFUL = {
    *("ShutdownServer", "UpdateAndRestart", "Logout", "AdminTakeControl", "ChangePassword", "InstallExtension"),
    *("UpdateExtension", "UninstallExtension", "SetExtensionEnabled", "OpenImageFolder", "ForwardMetadataRequest"),
    *("DeleteBackend", "RestartBackends", "ToggleBackend", "AddNewBackend", "EditBackend", "FreeBackendMemory"),
    *("Login", "RegisterBasic", "RegisterOAuth", "Pickle2SafeTensor", "TriggerRefresh", "WipeMetadata"),
}
"""They end the server, ask other machines, or change what the next test needs; none of them takes a path of a file."""
VALUES: dict[str, Any] = {"String": None, "Int32": 1, "Int64": 1, "Double": 1.0, "Boolean": False, "String[]": None}
NAMED = [
    route
    for route in KNOWN.routes.values()
    if not route.websocket
    and route.name not in HARMFUL
    and any(argument.type_name in ("String", "String[]") for argument in arguments_of(route))
]


@pytest.mark.case("I8")
@pytest.mark.parametrize("route", NAMED, ids=lambda route: route.name)
def test_no_route_that_takes_a_name_leads_out(world: World, client: SwarmClient, route: Any) -> None:
    """Every text it takes is a path that leads out. Nothing is told of what lies there, and nothing there changes."""
    outside = {path: path.read_bytes() for path in world.folder.rglob("secret.*")}
    for path in PATHS:
        body: dict[str, Any] = {"images": 1, **UNSAVED, "settings": {}, "param_map": {}, "edits": {}, "types": [path]}
        for argument in arguments_of(route):
            if argument.type_name in VALUES:
                value = VALUES[argument.type_name]
                body[argument.name] = ([path] if argument.type_name == "String[]" else path) if value is None else value
        answer = client.raw(route.name, {"session_id": client.session_id, **body})
        assert answer.json().get("error_id") != "internal_error", path
        for word in (SECRET, "root:", str(world.folder), "Traceback"):
            assert word not in answer.text, (path, word)
    assert {path: path.read_bytes() for path in outside} == outside
    assert not [path for path in world.folder.rglob("*") if path.is_symlink()]


# --- I9 -------------------------------------------------------------------------------------------------------------


def each(param: str, *values: Any) -> list[tuple[str, Any]]:
    return [(param, value) for value in values]


BAD_NUMBERS: list[tuple[str, Any]] = [
    *each("steps", -1, 501, 10**9, 0.5, "0.5", "20x", True, [], {}, "1e2", "\u0663", "0x10", " ", "-"),
    *each("width", 1, 7, 63, 16385, 10**6, -64, "64.5", "NaN", "Infinity", False),
    *each("images", 0.5, 10_001, -(2**31) - 1, 2**31, "many", "1e9"),
    *each("seed", -2, 2**63, 2**64, 10**30, "5.5", "inf", 1.5),
    *each("cfgscale", "inf", "-inf", "nan", "NaN", "Infinity", -1, 101, 1e308, "1e400", "7,5x"),
    *each("sidelength", 0, -5, 10**9),
    *each("initimagecreativity", -0.1, 1.1, "half"),
    *each("batchsize", 0, -1, 101, 10**9),
    *each("loraweights", "x", "1,nan", "inf"),
    ("rawresolution", "1e9x1"),
    ("rawresolution", "64"),
    ("rawresolution", "-64x64"),
    ("rawresolution", "9" * 5000 + "x64"),
]


@pytest.mark.case("I9")
@pytest.mark.parametrize(("param", "value"), BAD_NUMBERS, ids=lambda value: repr(value)[:20])
def test_numbers_out_of_range_are_refused_by_name(client: SwarmClient, param: str, value: Any) -> None:
    answer = client.post("GenerateText2Image", **{"images": 1, **UNSAVED, "loras": "extra", param: value})
    assert is_a_sentence(answer), answer
    said = answer["error"].lower().replace(" ", "")
    assert param in said or "resolution" in said or "images" in said, answer


@pytest.mark.case("I9")
@pytest.mark.parametrize("seed", [0, -1, 2**53 + 1, 2**63 - 1, str(2**63 - 1)])
def test_large_seeds_are_exact(client: SwarmClient, seed: Any) -> None:
    answer = client.generate(**{**SMALL, "seed": seed})
    (url,) = answer["images"]
    (file,) = [one for one in client.post("ListImages", path="", depth=5)["files"] if url.endswith(one["src"])]
    kept = json.loads(file["metadata"])["sui_image_params"]["seed"]
    assert kept == int(seed) or (int(seed) == -1 and 0 <= kept < 2**31)


@pytest.mark.case("I9")
def test_the_published_ranges_are_those_that_hold(client: SwarmClient) -> None:
    """Just beyond what ListT2IParams says is refused, for every number there is."""
    numbers = [one for one in client.post("ListT2IParams")["list"] if one["type"] in ("integer", "decimal")]
    bounded = [one for one in numbers if one["min"] or one["max"]]
    assert len(bounded) > 40
    for one in bounded:
        step = 1 if one["type"] == "integer" else 0.5
        for value in (one["min"] - step, one["max"] + step):
            if one["id"] == "seed" and value > 0:
                continue  # a float cannot say it exactly
            number = int(value) if one["type"] == "integer" else value
            answer = client.post("GenerateText2Image", **{"images": 1, **UNSAVED, one["id"]: number})
            assert is_a_sentence(answer) and "must be" in answer["error"], (one["id"], value, answer)


# --- I10 ------------------------------------------------------------------------------------------------------------

PROMPTS = {
    "unclosed": "<random:" * 5000,
    "closed twice": "<random:a,b>" + ">" * 5000,
    "ten thousand within each other": "<random:" * 10_000 + "a" + ">" * 10_000,
    "endless repeat": "<repeat[999999999]:<random:a,b>>",
    "negative repeat": "<repeat[-5]:a>",
    "repeat of a number that is none": "<repeat[nan]:a> <repeat[1e9]:b> <repeat:1e9:c>",
    "repeats of repeats": "<repeat[99]:<repeat[99]:<repeat[99]:<repeat[99]:a>>>>",
    "a wildcard of itself": "<wildcard:again>",
    "wildcards of wildcards": "<wildcard:other>" * 1000,
    "brackets": "[" * 50_000 + "a" + "]" * 50_000,
    "parentheses": "(" * 50_000 + "a:1.5" + ")" * 50_000,
    "weights": "(a:1e400) (b:-inf) (c:nan) (d:9999999999999999999) (e:1.1.1)",
    "alternation": "[" + "a|" * 20_000 + "b]",
    "from to": "<fromto[0.5]:a,b>" * 2000 + "<fromto[nan]:a,b> <fromto[-9]:a>",
    "regions": "<region:0,0,1,1>" * 500 + "a",
    "odd regions": "<region:-1,5,nan,1e400>a <object:9,9,9,9,9,9>b <region:>c",
    "segments": "<segment:face>a" * 500,
    "breaks": "<break>" * 5000,
    "params": "<param[steps]:99999999999>",
    "params that are none": "<param[nothing]:1> <param[__class__]:1> <param[session_id]:x>",
    "variables": "<setvar[a]:<var:a>>" * 2000 + "<var:a>" * 2000,
    "macros": "<setmacro[a]:<macro:b>><setmacro[b]:<macro:a>><macro:a>",
    "presets": "<preset:none>" * 2000,
    "embeddings": "<embed:none>" * 2000,
    "random numbers": "<random:1-999999999999999999999> <random:9-1> <random:1.5-1e300>",
    "random of nothing": "<random:> <random:,> <random:||||>",
    "a million marks": "a" + "\u0323\u0301" * 500_000,
    "a megabyte": "word " * 200_000,
    "marks of our own": "\x01\x02<//cid=1><refiner//cid=9999><base//cid=-1>",
    "backslashes": "\\" * 50_000 + "(a)",
    "regular expressions": "(a+)+$" * 1000 + "a" * 5000 + "!",
    "colons": ":" * 50_000,
}
TROUBLE = ("Something went wrong", "recursion", "Traceback", "list index", "object has no")


@pytest.mark.case("I10")
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_prompts_unfold_within_bounds(client: SwarmClient, prompt: str) -> None:
    """Drawn or refused in a sentence, soon; nothing about it is unforeseen."""
    for route, body in [
        ("GenerateText2Image", {"images": 1, **UNSAVED, "prompt": prompt}),
        ("GenerateText2Image", {"images": 1, **UNSAVED, "negativeprompt": prompt}),
        ("TestPromptFill", {"prompt": prompt}),
        ("CountTokens", {"text": prompt}),
        ("TokenizeInDetail", {"text": prompt}),
    ]:
        begun = time.perf_counter()
        answer = client.post(route, **body)
        assert time.perf_counter() - begun < 10, route
        text = json.dumps(answer)
        assert "error" not in answer or is_a_sentence(answer), (route, text[:300])
        assert not any(word in text for word in TROUBLE if word not in prompt), route


PIECES = st.sampled_from(
    [
        *("<", ">", "[", "]", "(", ")", ":", "|", ",", "||", "-", "\\", "=", "//cid=", " ", "0.5", "1e9", "a", "b"),
        *(f"<{name}" for name in sorted(tag.name for tag in KNOWN.tags.values())),
        *(f"<{name}[" for name in ("repeat", "random", "setvar", "param", "fromto", "segment")),
    ]
)


@pytest.mark.case("I10")
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(prompt=st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=30).map("".join))
def test_prompts_of_pieces_of_tags_are_understood_or_refused(client: SwarmClient, prompt: str) -> None:
    for key in ("prompt", "negativeprompt"):
        sent = prompt.encode("utf-8", "replace").decode()
        answer = client.generate(**{**UNSAVED, key: sent})
        assert "images" in answer or is_a_sentence(answer), answer
