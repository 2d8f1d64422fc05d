"""Models and backends as strict clients and other Swarm servers rely on them (swarm-models-backends 1, 3, 4).

One server for the whole module: two models roots, folders of the user's own choice, wildcards, and a fake backend.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from swarm.settings.file import save_settings
from swarm.settings.server import PathSettings, ServerSettings
from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.models import SD15_TENSORS, write_model
from tests.support.server import options_for, server_in_thread

LORA = {
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 768),
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": (320, 4),
}
NOT_FOUND = {"error": "Model not found."}
EMPTY = {"error": "Invalid empty name."}
NO_SET = {"error": "Invalid sub-type."}


def other_tools(folder: Path) -> None:
    """Models with the files that other programs put beside them."""
    write_model(folder / "one.safetensors", SD15_TENSORS, title="From the header", author="Ann")
    (folder / "one.json").write_text('{"modelspec.title": "From json", "activation text": "zap"}')
    (folder / "one.cm-info.json").write_text('{"ModelName": "Other", "ModelDescription": "About it"}')
    (folder / "one.civitai.info").write_text('{"trainedWords": ["ink wash", "brush"], "model": {"name": "Inner"}}')
    Image.new("RGB", (300, 600), "blue").save(folder / "one.thumb.jpg")
    write_model(folder / "two.safetensors")
    (folder / "two.civitai.info").write_text('{"model": {"name": "Inner"}, "trigger_phrase": ""}')
    write_model(folder / "four.safetensors", {**SD15_TENSORS, "x.weight.quant_state.bitsandbytes__nf4": (2,)})
    write_model(folder / "nunchaku" / "transformer_blocks.safetensors", {"a.wtscale": (2,)})
    write_model(folder / "nunchaku" / "unquantized_layers.safetensors", {"b.weight": (2,)})
    (folder / "nunchaku" / "comfy_config.json").write_text("{}")
    (folder / "old.ckpt").write_bytes(b"never opened")
    write_model(folder / ".hidden" / "three.safetensors")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("models"))
    made.backends(StepMilliseconds=0, Features="comfyui,refiners")
    for name in ("base", "Sub/Deep/inner", "sub2/b"):
        write_model(made.models / "Stable-Diffusion" / f"{name}.safetensors")
    write_model(made.models / "unet" / "bare.safetensors")
    write_model(made.models / "Lora" / "unseen.safetensors", LORA)
    write_model(made.models / "my loras" / "one.safetensors", LORA)
    write_model(made.folder / "second" / "my loras" / "two.safetensors", LORA)
    write_model(made.folder / "elsewhere" / "three.safetensors", LORA)
    other_tools(made.models / "Stable-Diffusion" / "tools")
    folders = f"my loras; {made.folder / 'elsewhere'}"
    paths = PathSettings(sd_lora_folder=folders, sd_model_folder="Stable-Diffusion", download_to_root_id=-1)
    save_settings(ServerSettings(paths=paths), made.data / "Settings.fds")
    return made


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[SwarmClient]:
    options = options_for(world.folder, models_dirs=(world.models, world.folder / "second"))
    with server_in_thread(options) as base, SwarmClient(base) as made:
        yield made


def listed(client: SwarmClient, **asked: Any) -> tuple[list[str], list[str]]:
    """Folders and names, without those of `other_tools`."""
    answer = client.post("ListModels", **{"depth": 3, "path": "", **asked})
    names = [file["name"] for file in answer["files"]]
    return sorted(set(answer["folders"]) - TOOLS), [name for name in names if not name.startswith("tools/")]


# --- folders (1.1) -----------------------------------------------------------------------------------------------


def test_models_lie_where_the_settings_say(client: SwarmClient) -> None:
    assert listed(client, subtype="LoRA") == ([], ["one.safetensors", "three.safetensors", "two.safetensors"])
    assert "bare.safetensors" in listed(client)[1]  # these folders belong to checkpoints whatever the setting
    wire = client.post("ListT2IParams")["models"]
    assert [name for name, _ in wire["LoRA"]] == ["one.safetensors", "three.safetensors", "two.safetensors"]


def test_new_models_go_to_the_root_that_was_chosen(client: SwarmClient, world: World) -> None:
    assert (world.folder / "second" / "VAE").is_dir() and (world.folder / "second" / "upscale_models").is_dir()
    assert not (world.models / "VAE").exists()
    (said,) = client.stream("DoModelDownloadWS", url="https://huggingface.co/x", type="LoRA", name="two")
    assert said == {"error": "Model at that save path already exists."}


def test_a_model_in_a_folder_elsewhere_is_deleted_and_brought_back(client: SwarmClient, world: World) -> None:
    file = world.folder / "elsewhere" / "three.safetensors"
    assert client.post("DeleteModel", modelName="three", subtype="LoRA") == {"success": True}
    assert not file.exists() and (world.folder / "elsewhere").is_dir()
    (trashed,) = client.post("ListTrash")["deleted"]
    assert client.post("RestoreFromTrash", id=trashed["id"]) == {"success": True}
    assert file.exists()


# --- what is read about a file (1.2 to 1.4) ----------------------------------------------------------------------


def test_files_that_other_programs_put_beside_a_model_are_read(client: SwarmClient) -> None:
    one = client.post("DescribeModel", modelName="tools/one")["model"]
    assert (one["title"], one["author"], one["description"]) == ("From json", "Ann", "About it\n")
    assert one["trigger_phrase"] == "ink wash, brush"
    with Image.open(io.BytesIO(base64.b64decode(one["preview_image"].partition(",")[2]))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (256, 512))
    two = client.post("DescribeModel", modelName="tools/two")["model"]
    assert (two["title"], two["trigger_phrase"]) == ("Inner", "")


def test_what_is_listed_of_a_folder_with_files_of_every_kind(client: SwarmClient) -> None:
    files = {file["name"]: file for file in client.post("ListModels", path="tools", depth=5)["files"]}
    assert set(files) == {
        *("tools/one.safetensors", "tools/two.safetensors", "tools/four.safetensors", "tools/old.ckpt"),
        "tools/nunchaku/transformer_blocks.safetensors",
    }
    formats = {name: file["special_format"] for name, file in files.items() if file["special_format"]}
    assert formats == {
        "tools/four.safetensors": "bnb_nf4",
        "tools/nunchaku/transformer_blocks.safetensors": "nunchaku-fp4",
    }
    assert files["tools/nunchaku/transformer_blocks.safetensors"]["title"] == "nunchaku"
    old = files["tools/old.ckpt"]
    assert (old["is_supported_model_format"], old["title"], old["preview_image"]) == (
        *(False, None),
        "imgs/legacy_ckpt.jpg",
    )
    assert old["description"] == "(None, use '.safetensors' to enable metadata descriptions)"
    assert client.post("GetModelHash", modelName="tools/old.ckpt") == {"hash": None}


# --- ListModels and its like (1.7) -------------------------------------------------------------------------------

TOOLS = {"tools", "tools/nunchaku"}
ALL = ["bare.safetensors", "base.safetensors", "Sub/Deep/inner.safetensors", "sub2/b.safetensors"]


@pytest.mark.parametrize(
    ("asked", "folders", "names"),
    [
        ({"depth": 1}, ["Sub", "sub2"], ALL[:2]),
        ({"depth": 0}, ["Sub", "sub2"], ALL[:2]),
        ({"depth": 2}, ["Sub", "Sub/Deep", "sub2"], [*ALL[:2], ALL[3]]),
        ({"depth": 999}, ["Sub", "Sub/Deep", "sub2"], ALL),
        ({"path": "/Sub//"}, ["Deep"], [ALL[2]]),
        ({"path": "Sub\\Deep"}, [], [ALL[2]]),
        ({"path": "sub"}, [], []),
        ({"path": ".."}, [], []),
        ({"sortBy": "nAmE", "sortReverse": True}, ["Sub", "Sub/Deep", "sub2"], ALL[::-1]),
    ],
)
def test_a_folder_is_listed_down_to_a_depth(
    client: SwarmClient, asked: dict[str, Any], folders: list[str], names: list[str]
) -> None:
    found = listed(client, **asked)
    assert (found[0], sorted(found[1])) == (folders, sorted(names))
    if asked.get("sortReverse"):
        assert found[1] == listed(client)[1][::-1]


@pytest.mark.parametrize(
    ("route", "body", "expected"),
    [
        ("ListModels", {"path": "", "depth": 1, "sortBy": "x"}, {"error": "Invalid sort mode 'x'."}),
        ("ListModels", {"path": "", "depth": 1, "subtype": "lora"}, NO_SET),
        ("DescribeModel", {"modelName": "BASE"}, NOT_FOUND),
        ("DescribeModel", {"modelName": "x", "subtype": "q"}, NO_SET),
        ("DescribeModel", {"modelName": "(None)", "subtype": "LoRA"}, NOT_FOUND),
        ("SelectModel", {"model": ""}, EMPTY),
        ("SelectModel", {"model": "(None)"}, NOT_FOUND),
        ("SelectModel", {"model": "base", "backendId": "7"}, {"error": "Model failed to load."}),
        ("EditWildcard", {"card": "..", "options": "x"}, EMPTY),
        ("DeleteWildcard", {"card": "nothing"}, NOT_FOUND),
        ("GetModelHeaders", {"model": "base"}, NOT_FOUND),
        ("GetModelHash", {"modelName": "base", "subtype": "q"}, NO_SET),
        ("ForwardMetadataRequest", {"url": "https://civitai.com.example/"}, {"error": "Invalid URL."}),
        ("RenameModel", {"oldName": "nothing", "newName": "x"}, NOT_FOUND),
        ("RenameModel", {"oldName": "base", "newName": ""}, {"error": "Model new name is not valid."}),
        (
            *("RenameModel", {"oldName": "base", "newName": "sub2/b"}),
            {"error": "Model new name is already taken by an existing model."},
        ),
        ("DeleteModel", {"modelName": ""}, EMPTY),
        ("Pickle2SafeTensor", {"type": "q", "fp16": True}, {"error": "Invalid type 'q'."}),
    ],
)
def test_refusals_are_the_sentences_of_the_contract(
    client: SwarmClient, route: str, body: dict[str, Any], expected: dict[str, str]
) -> None:
    answer = client.raw(route, {"session_id": client.session_id, **body})
    assert (answer.status_code, answer.json()) == (200, expected)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"url": "ftp://x", "type": "LoRA", "name": "x"}, "Invalid URL."),
        ({"url": "https://huggingface.co/x", "type": "q", "name": "x"}, "Invalid type."),
        ({"url": "https://huggingface.co/x", "type": "LoRA", "name": ".."}, "Invalid empty name."),
        ({"url": "https://huggingface.co/x", "name": "x"}, "Missing required parameter 'type'"),
    ],
)
def test_downloads_that_cannot_begin(client: SwarmClient, body: dict[str, str], sentence: str) -> None:
    assert list(client.stream("DoModelDownloadWS", **body)) == [{"error": sentence}]


def test_the_model_that_means_none(client: SwarmClient) -> None:
    none = client.post("DescribeModel", modelName="(none)")["model"]
    assert (none["name"], none["description"], none["resolution"]) == ("(None)", "No model selected.", "0x0")


def test_a_wildcard_is_read_whatever_its_case_and_listed_in_its_folder(client: SwarmClient, world: World) -> None:
    assert client.post("EditWildcard", card="col/My.Colors?", options="red\r\ngreen # x\n\nblue") == {"success": True}
    assert (world.data / "Wildcards" / "col" / "MyColors.txt").read_bytes() == b"red\r\ngreen # x\n\nblue"
    shown = client.post("DescribeModel", modelName="COL/mycolors", subtype="Wildcards")
    assert shown == {
        "name": "col/MyColors",
        "raw": "red\ngreen # x\n\nblue",
        "image": "imgs/model_placeholder.jpg",
    }
    assert listed(client, subtype="Wildcards") == (["col"], ["col/MyColors"])
    assert client.post("TestPromptFill", prompt="<wildcard:mycolors>")["result"] in ("red", "green", "blue")
    assert client.post("DeleteWildcard", card="col/MyColors") == {"success": True}
    assert listed(client, subtype="Wildcards") == ([], [])


def test_a_class_that_is_not_known_is_taken_from_the_tensors_again(client: SwarmClient) -> None:
    edit = {
        **{"model": "sub2/b.safetensors", "title": "T", "author": "A", "type": "FLUX.1-DEV", "description": "D"},
        **{"standard_width": 1024, "standard_height": 768, "usage_hint": "", "date": "", "license": ""},
        **{"trigger_phrase": "", "prediction_type": "", "tags": "a, b,,c"},
    }

    def described() -> dict[str, Any]:
        model: dict[str, Any] = client.post("DescribeModel", modelName="sub2/b")["model"]
        return model

    assert client.post("EditModelMetadata", **edit) == {"success": True}
    assert (described()["architecture"], described()["tags"]) == ("Flux.1-dev", ["a", "b", "c"])
    assert client.post("EditModelMetadata", **{**edit, "type": "", "standard_width": 0}) == {"success": True}
    assert (described()["architecture"], described()["resolution"]) == ("Flux.1-dev", "1024x768")
    assert client.post("EditModelMetadata", **{**edit, "type": "nothing", "title": ""}) == {"success": True}
    assert (described()["architecture"], described()["title"]) == ("stable-diffusion-v1", "b")
    without = {key: value for key, value in edit.items() if key != "tags"}
    assert client.post("EditModelMetadata", **without) == {"error": "Missing required parameter 'tags'"}


def test_a_refresh_answers_like_the_list_of_parameters(client: SwarmClient) -> None:
    keys = list(client.post("ListT2IParams"))
    for asked in ({}, {"strong": False}, {"refreshType": "wildcards"}, {"refreshType": None}):
        assert list(client.post("TriggerRefresh", **asked)) == keys
    flux = client.post("TriggerRefresh")["model_compat_classes"]["flux-1"]
    assert list(flux) == [
        *("id", "short_code", "loras_target_text_enc", "is_text2video", "is_image2video", "is_audio_model"),
        *("has_joint_av_latents", "resolution_precision", "vae_family"),
    ]
    assert (flux["short_code"], flux["loras_target_text_enc"], flux["vae_family"]) == ("Flux", False, "flux1")


# --- backends (3.3) ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "body", "expected"),
    [
        ("AddNewBackend", {"type_id": "q"}, {"error": "Invalid backend type: q"}),
        ("EditBackend", {"backend_id": 0, "title": ""}, {"error": "Missing settings."}),
        ("EditBackend", {"backend_id": 99, "title": "", "settings": {}}, {"error": "Invalid backend ID 99"}),
        ("ToggleBackend", {"backend_id": 99, "enabled": True}, {"error": "Invalid backend ID 99"}),
        ("ToggleBackend", {"backend_id": "0", "enabled": "True"}, {"result": "No change."}),
        ("DeleteBackend", {"backend_id": 99}, {"result": "Already didn't exist."}),
        ("RestartBackends", {"backend": "99"}, {"result": "Success.", "count": 0}),
        ("FreeBackendMemory", {"backend": "99"}, {"result": False, "count": 0}),
    ],
)
def test_backend_routes_answer_in_the_words_of_the_contract(
    client: SwarmClient, route: str, body: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert client.post(route, **body) == expected


def test_backends_of_a_locked_server_stay_as_they_are(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.backends(StepMilliseconds=0)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("AddNewBackend", {"type_id": "swarmswarmbackend"}),
        ("EditBackend", {"backend_id": 0, "title": "x", "settings": {}}),
        ("ToggleBackend", {"backend_id": 0, "enabled": False}),
        ("RestartBackends", {}),
        ("DeleteBackend", {"backend_id": 0}),
    ]
    options = options_for(world.folder, lock_settings=True)
    with server_in_thread(options) as base, SwarmClient(base) as locked:
        before = locked.post("ListBackends")
        for route, body in calls:
            assert locked.post(route, **body) == {"error": "Settings are locked."}
        assert locked.post("ListBackends") == before
        assert locked.post("FreeBackendMemory")["result"] is True
        assert locked.post("ChangeServerSettings", settings={"network.outputcacheseconds": 7}) == {"success": True}
        network = locked.post("ListServerSettings")["settings"]["network"]["value"]
        assert network["outputcacheseconds"]["value"] == 7
    assert not (world.data / "Settings.fds").exists()


def test_a_request_that_no_backend_can_take_is_told_why(client: SwarmClient) -> None:
    asked = {"model": "base", "prompt": "x", "width": 64, "height": 64, "steps": 1}
    refused = "No backends match the settings of the request given! Backends refused for the following reason(s):\n- "
    other = "Specific backend type requested in advanced parameters did not match"
    assert client.generate(**asked, internalbackendtype="comfyui_api") == {"error": refused + other}
    missing = "Request requires flag 'variation_seed' which is not present on the backend"
    assert client.generate(**asked, variationseed=5, variationseedstrength=0.5) == {"error": refused + missing}


# --- being another server's backend (4.3, 4.6) -------------------------------------------------------------------


def test_the_calls_of_a_server_that_uses_this_one(client: SwarmClient) -> None:
    session = client.raw("GetNewSession", {}).json()
    assert isinstance(session["count_running"], int) and isinstance(session["server_id"], str)
    found = client.post("ListBackends", nonreal=True, full_data=True)
    for backend in found.values():
        types = {"status": str, "id": int, "features": list, "type": str, "title": str, "can_load_models": bool}
        assert {key: type(backend[key]) for key in types} == types
        assert isinstance(backend["max_usages"], int) and "current_model" in backend
    for subtype in ("Stable-Diffusion", "VAE", "LoRA", "Embedding", "ControlNet", "Clip", "ClipVision"):
        asked = {"path": "", "depth": 999, "subtype": subtype, "allowRemote": True, "dataImages": True}
        for model in client.post("ListModels", **asked)["files"]:
            assert isinstance(model["standard_width"], int) and isinstance(model["loaded"], bool)
            assert model["preview_image"].startswith(("data:", "imgs/"))
    assert client.post("SelectModel", model="base.safetensors", backendId=0) == {"success": True}
    body = {
        **{"prompt": "a cat<base//cid=5> and <refiner//cid=1>fine", "negativeprompt": "", "model": "base", "seed": 123},
        **{"steps": 2, "cfgscale": 7.0, "width": 64, "height": 64, "donotsave": True, "exactbackendid": 0, "images": 1},
        **{"forwardswarmdata": True, "forwardrawbackenddata": True, "someparameterofthemaster": 3},
    }
    messages = list(client.stream("GenerateText2ImageWS", **body))
    keys = [next(iter(message)) for message in messages]
    at = keys.index("image")
    assert messages[at]["image"].startswith("data:image/png;base64,") and keys[at - 1] == "raw_swarm_data"
    assert {"prompt", "seed", "steps"} <= set(messages[at - 1]["raw_swarm_data"]["params_used"])
    assert messages[-2] == {"socket_intention": "close"} and {"discard_indices": []} in messages
    assert json.loads(messages[at]["metadata"])["sui_image_params"]["seed"] == 123
    assert client.post("InterruptAll", other_sessions=False) == {"success": True}
    assert client.post("FreeBackendMemory", system_ram=False, backend="0")["result"] is True
    plain = client.post("GenerateText2Image", **body)
    assert plain["images"][0].startswith("data:image/png;base64,")
