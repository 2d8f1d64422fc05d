"""ListT2IParams and TriggerRefresh, key by key (swarm-t2i 2)."""

from __future__ import annotations

from typing import Any

from swarm.settings.file import save_settings
from swarm.settings.server import ServerSettings
from swarm.settings.user import UserSettings
from tests.conftest import Serve, World
from tests.support.client import SwarmClient
from tests.support.models import write_model

PARAM_KEYS = [
    *("name", "id", "description", "type", "subtype", "default", "min", "max", "view_min", "view_max", "step"),
    *("values", "value_names", "examples", "visible", "advanced", "feature_flag", "toggleable", "priority", "group"),
    *("always_retain", "do_not_save", "do_not_preview", "view_type", "extra_hidden", "can_sectionalize"),
    *("nonreusable", "depend_non_default"),
]
GROUP_KEYS = ["name", "id", "toggles", "open", "priority", "description", "advanced", "can_shrink", "parent"]
COMPAT_KEYS = [
    *("id", "short_code", "loras_target_text_enc", "is_text2video", "is_image2video", "is_audio_model"),
    *("has_joint_av_latents", "resolution_precision", "vae_family"),
]
TYPES = {"text", "integer", "decimal", "boolean", "dropdown", "image", "image_list", "audio", "video", "model", "list"}
VIEWS = {"normal", "prompt", "small", "big", "slider", "pot_slider", "seed", "video_frames"}
NUMBERS = ("min", "max", "view_min", "view_max", "step", "priority")


def by_id(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {param["id"]: param for param in answer["list"]}


def test_every_parameter_has_every_key_in_order_and_of_its_type(client: SwarmClient) -> None:
    answer = client.post("ListT2IParams")
    flags = ("visible", "advanced", "toggleable", "always_retain", "do_not_save", "do_not_preview", "extra_hidden")
    for param in answer["list"]:
        assert list(param) == PARAM_KEYS, param["id"]
        assert param["type"] in TYPES and param["view_type"] in VIEWS
        assert param["default"] is None if param["type"] in ("image", "audio") else isinstance(param["default"], str)
        assert all(isinstance(param[key], float) for key in NUMBERS), param["id"]
        assert all(isinstance(param[key], bool) for key in (*flags, "can_sectionalize", "nonreusable"))
        assert (param["values"] is None) == (param["value_names"] is None)
        assert param["values"] is None or len(param["values"]) == len(param["value_names"])
        assert param["step"] > 0 and param["description"]
    assert len(by_id(answer)) == len(answer["list"])
    assert b'"min":0.0' in client.raw("ListT2IParams", {"session_id": client.session_id}).content


def test_well_known_parameters_are_as_clients_know_them(client: SwarmClient) -> None:
    params = by_id(client.post("ListT2IParams"))
    steps = {key: value for key, value in params["steps"].items() if key not in ("description", "examples")}
    assert steps == {
        **{"name": "Steps", "id": "steps", "type": "integer", "subtype": None, "default": "20"},
        **{"min": 0.0, "max": 500.0, "view_min": 0.0, "view_max": 60.0, "step": 1.0},
        **{"values": None, "value_names": None, "visible": True, "advanced": False, "feature_flag": None},
        **{"toggleable": False, "priority": -20.0, "group": "coreparameters", "always_retain": False},
        **{"do_not_save": False, "do_not_preview": False, "view_type": "slider", "extra_hidden": False},
        **{"can_sectionalize": True, "nonreusable": False, "depend_non_default": None},
    }
    facts = {
        "prompt": ("text", "", "prompt", None),
        "cfgscale": ("decimal", "7", "slider", "coreparameters"),
        "seed": ("integer", "-1", "seed", "coreparameters"),
        "donotsave": ("boolean", "false", "small", "swarminternal"),
        "scheduler": ("dropdown", "normal", "small", "sampling"),
        "initimage": ("image", None, "small", "initimage"),
        "loras": ("list", "", "small", "advancedmodeladdons"),
    }
    for name, (kind, default, view, group) in facts.items():
        found = params[name]
        assert (found["type"], found["default"], found["view_type"], found["group"]) == (kind, default, view, group)
    assert (params["sampler"]["feature_flag"], params["variationseed"]["feature_flag"]) == ("comfyui", "variation_seed")
    assert (params["loras"]["subtype"], params["model"]["subtype"]) == ("LoRA", "Stable-Diffusion")


def test_groups_are_sorted_complete_and_lead_to_their_parents(client: SwarmClient) -> None:
    answer = client.post("ListT2IParams")
    groups = answer["groups"]
    assert all(list(group) == GROUP_KEYS for group in groups)
    assert [group["priority"] for group in groups] == sorted(group["priority"] for group in groups)
    ids = {group["id"] for group in groups}
    used = {param["group"] for param in answer["list"]} | {group["parent"] for group in groups}
    assert used - {None} == ids
    toggled = {group["id"] for group in groups if group["toggles"]}
    assert {"initimage", "variationseed"} <= toggled


def test_models_and_their_classes(world: World, serve: Serve) -> None:
    write_model(world.models / "Stable-Diffusion" / "b" / "second.safetensors")
    (world.models / "Stable-Diffusion" / "a.ckpt").write_bytes(b"legacy")
    write_model(world.models / "Lora" / "style" / "ink.safetensors")
    answer = serve().post("ListT2IParams")
    assert answer["models"]["Stable-Diffusion"] == [
        ["a.ckpt", None],
        ["b/second.safetensors", "stable-diffusion-v1"],
        ["tiny.safetensors", "stable-diffusion-v1"],
    ]
    assert [name for name, _ in answer["models"]["LoRA"]] == ["style/ink.safetensors"]
    params = by_id(answer)
    assert params["loras"]["values"] == ["(None)", "style/ink"]
    assert params["model"]["values"] is None
    for name, found in answer["model_classes"].items():
        assert list(found) == ["id", "name", "compat_class", "standard_width", "standard_height"]
        assert found["id"] == name
        assert found["compat_class"] is None or found["compat_class"] in answer["model_compat_classes"]
    for name, found in answer["model_compat_classes"].items():
        assert (list(found), found["id"]) == (COMPAT_KEYS, name)
    assert (answer["wildcards"], answer["param_edits"]) == ([], None)


def test_what_a_role_may_not_set_is_neither_listed_nor_taken(world: World, serve: Serve) -> None:
    save_settings(ServerSettings(default_user=UserSettings(roles=("user",))), world.data / "Settings.fds")
    client = serve()
    ids = set(by_id(client.post("ListT2IParams")))
    assert "steps" in ids
    assert not ids & {"exactbackendid", "internalbackendtype"}
    answer = client.generate(model="tiny", steps=2, width=64, height=64, exactbackendid=0)
    assert answer == {"error": "You do not have permission to use parameter Exact Backend ID."}


def test_a_refresh_answers_exactly_as_the_list_does(client: SwarmClient) -> None:
    listed = client.post("ListT2IParams")
    for options in ({}, {"strong": False}, {"refreshType": None}, {"refreshType": "wildcards"}, {"refreshType": "x"}):
        assert client.post("TriggerRefresh", **options) == listed
    assert client.post("TriggerRefresh", strong="yes") == {
        "error": "Invalid value 'yes' for parameter 'strong', must be type 'Boolean'"
    }


def test_a_refresh_without_the_permission_changes_nothing(world: World, serve: Serve) -> None:
    save_settings(ServerSettings(default_user=UserSettings(roles=("guest",))), world.data / "Settings.fds")
    client = serve()
    write_model(world.models / "Stable-Diffusion" / "later.safetensors")
    models = client.post("TriggerRefresh")["models"]["Stable-Diffusion"]
    may = "control_model_refresh" in client.raw("GetNewSession", {}).json()["permissions"]
    assert ("later.safetensors" in [name for name, _ in models]) == may
