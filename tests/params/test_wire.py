from __future__ import annotations

import json

from swarm.access.permission import Permission
from swarm.base.json import dumps
from swarm.features.core import PROMPT, STEPS
from swarm.features.groups import CONTROLNET_TWO_GROUP
from swarm.features.init_image import INIT_IMAGE
from swarm.features.lora import LORAS
from swarm.features.sampling import SCHEDULER
from swarm.params.docs import params_page
from swarm.params.wire import group_to_wire, list_params, param_to_wire
from tests.params.fixed_choices import CHOICES, PARAMS, everything


def test_an_integer_is_spelled_as_the_wire_spells_it() -> None:
    spelled = dumps({**param_to_wire(STEPS, CHOICES), "description": "…"}).decode()
    assert spelled == (
        '{"name":"Steps","id":"steps","description":"…","type":"integer","subtype":null,"default":"20","min":0.0,'
        '"max":500.0,"view_min":0.0,"view_max":60.0,"step":1.0,"values":null,"value_names":null,'
        '"examples":["10","15","20","30","40"],"visible":true,"advanced":false,"feature_flag":null,"toggleable":false,'
        '"priority":-20.0,"group":"coreparameters","always_retain":false,"do_not_save":false,"do_not_preview":false,'
        '"view_type":"slider","extra_hidden":false,"can_sectionalize":true,"nonreusable":false,'
        '"depend_non_default":null}'
    )


def test_lists_of_values_come_from_the_server() -> None:
    scheduler = param_to_wire(SCHEDULER, CHOICES)
    assert (scheduler["values"], scheduler["value_names"]) == (["normal", "karras"], ["Normal", "Karras"])
    assert (scheduler["type"], scheduler["default"], scheduler["feature_flag"]) == ("dropdown", "normal", "comfyui")
    assert param_to_wire(LORAS, CHOICES)["values"] == ["(None)", "ink", "Zoo/cat"]


def test_texts_and_pictures_have_the_defaults_of_their_kind() -> None:
    assert param_to_wire(PROMPT, CHOICES)["default"] == ""
    assert param_to_wire(LORAS, CHOICES)["default"] == ""
    assert param_to_wire(INIT_IMAGE, CHOICES)["default"] is None


def test_a_group_is_spelled_as_the_wire_spells_it() -> None:
    assert json.dumps({**group_to_wire(CONTROLNET_TWO_GROUP), "description": "…"}, ensure_ascii=False) == (
        '{"name": "ControlNet Two", "id": "controlnettwo", "toggles": true, "open": false, "priority": -0.8, '
        '"description": "…", "advanced": true, "can_shrink": true, "parent": "controlnet"}'
    )


def test_parameters_without_permission_are_not_listed() -> None:
    def nothing(permission: Permission) -> bool:
        return False

    everyone = {param["id"] for param in list_params(PARAMS, CHOICES, everything)[0]}  # type: ignore[index, call-overload]
    someone = {param["id"] for param in list_params(PARAMS, CHOICES, nothing)[0]}  # type: ignore[index, call-overload]
    guarded = {id for id, param in PARAMS.params.items() if param.permission is not None}
    assert everyone - someone == guarded
    assert {"model", "internalbackendtype", "exactbackendid", "vae"} <= guarded


def test_only_groups_in_use_are_listed() -> None:
    listed, groups = list_params(PARAMS, CHOICES, everything)
    names = [group["id"] for group in groups]  # type: ignore[index, call-overload]
    used = {param["group"] for param in listed} - {None}  # type: ignore[index, call-overload]
    assert used <= set(names)
    parents = {group["parent"] for group in groups} - {None}  # type: ignore[index, call-overload]
    assert set(names) == used | parents
    assert names.index("coreparameters") < names.index("resolution") < names.index("sampling")


def test_the_reference_page_names_every_parameter() -> None:
    page = params_page(PARAMS)
    assert all(f"| `{id}` |" in page for id in PARAMS.params)
    assert "| `cfgscale` | decimal | `7` | 0 to 100 |" in page
