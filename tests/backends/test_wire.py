"""What clients see of backends: the status word, the list, the forms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from swarm.backends.backend import BackendContext, BackendStatus, setting
from swarm.backends.instance import BackendInstance
from swarm.backends.matching import no_match_sentence
from swarm.backends.settings import SECRET, changed, form, to_json
from swarm.backends.status import backend_status, supported_features
from swarm.backends.types.fake import FAKE, FakeBackend, FakeSettings
from swarm.backends.wire import backend_object, time_since, type_list

OFF, BAD, WAIT, LOAD, IDLE, RUN = (
    BackendStatus(word) for word in ("disabled", "errored", "waiting", "loading", "idle", "running")
)


def instance(id: int, status: BackendStatus, *, enabled: bool = True) -> BackendInstance:
    settings = FakeSettings()
    backend = FakeBackend(BackendContext(id=id, data_dir=Path(), models_roots=()), settings)
    made = BackendInstance(id, FAKE, settings, title="", enabled=enabled, backend=backend)
    made.status = status
    return made


@pytest.mark.parametrize(
    ("statuses", "word", "css_class", "any_loading"),
    [
        ([], "empty", "error", False),
        ([RUN, BAD, WAIT], "errored", "error", True),
        ([RUN, BAD], "errored", "error", False),
        ([RUN, WAIT], "some_loading", "warn", True),
        ([RUN, LOAD, OFF], "some_loading", "warn", True),
        ([RUN, OFF, IDLE], "running", "", False),
        ([WAIT, OFF], "loading", "soft", True),
        ([OFF, IDLE], "disabled", "warn", False),
        ([IDLE], "idle", "warn", False),
    ],
)
def test_the_status_is_the_first_case_that_applies(
    statuses: list[BackendStatus], word: str, css_class: str, any_loading: bool
) -> None:
    status = backend_status([instance(id, status) for id, status in enumerate(statuses)])
    assert list(status) == ["status", "class", "message", "any_loading"]
    assert (status["status"], status["class"], status["any_loading"]) == (word, css_class, any_loading)
    assert (status["message"] == "") == (word == "running")


def test_everything_switched_off_is_said_so() -> None:
    assert backend_status([instance(0, OFF, enabled=False)])["status"] == "all_disabled"


def test_features_are_those_of_backends_that_are_on_and_not_idle() -> None:
    assert supported_features([instance(0, WAIT)]) == ["comfyui", "endstepsearly", "variation_seed"]
    assert supported_features([instance(0, IDLE), instance(1, OFF, enabled=False)]) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds from now"),
        (1, "1 second ago"),
        (12, "12 seconds ago"),
        (60, "1 minute ago"),
        (125, "2 minutes and 5 seconds ago"),
        (3780, "1 hour and 3 minutes ago"),
        (3605, "1 hour ago"),
        (2 * 86400 + 3600, "2 days and 1 hour ago"),
    ],
)
def test_time_since_use(seconds: int, text: str) -> None:
    assert time_since(seconds) == text


def test_a_backend_object_has_the_documented_keys_in_order() -> None:
    one = instance(2, RUN)
    shown = backend_object(one, 5000.0, full=True)
    assert shown == {
        "type": "fake",
        "status": "running",
        "id": 2,
        "settings": {
            "StepMilliseconds": 0,
            "LoadMilliseconds": 0,
            "StartMilliseconds": 0,
            "MaxUsages": 4,
            "PreviewKilobytes": 0,
            "FailStart": "",
            "FailLoad": "",
            "FailWith": "",
            "Features": "comfyui,variation_seed,endstepsearly",
            "AutoRestart": True,
        },
        "modcount": 0,
        "features": ["comfyui", "endstepsearly", "variation_seed"],
        "enabled": True,
        "title": "",
        "max_usages": 4,
        "seconds_since_used": 0,
        "time_since_used": "Never",
        "can_load_models": True,
        "current_model": None,
    }
    assert list(shown)[-2:] == ["can_load_models", "current_model"]
    one.last_used = 4988.0
    used = backend_object(one, 5000.0)
    assert (used["seconds_since_used"], used["time_since_used"]) == (12, "12 seconds ago")
    assert "current_model" not in used


@dataclass(frozen=True, kw_only=True)
class Every:
    """A setting of each kind."""

    GPU_ID: str = setting("0", "Which card.")
    over_queue: int = setting(1, "How many wait inside.")
    pause: float = setting(0.5, "How long.")
    auto_restart: bool = setting(True, "Again.")
    previews: str = setting("true", "How.", values=("false", "true"), value_names=("Off", "On"))
    key: str = setting("", "Hidden.", secret=True, name="AuthorizationHeader")


def test_forms_follow_from_the_fields() -> None:
    entries = form(Every)
    assert [(one["name"], one["type"]) for one in entries] == [
        ("GPU_ID", "text"),
        ("OverQueue", "integer"),
        ("Pause", "decimal"),
        ("AutoRestart", "boolean"),
        ("Previews", "dropdown"),
        ("AuthorizationHeader", "text"),
    ]
    assert entries[4] == {
        "name": "Previews",
        "type": "dropdown",
        "description": "How.",
        "placeholder": "",
        "is_secret": False,
        "values": ["false", "true"],
        "value_names": ["Off", "On"],
    }
    assert entries[5]["is_secret"] is True
    assert entries[0]["values"] is None
    assert entries[0]["value_names"] is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"overqueue": "7"}, {"over_queue": 7}),
        ({"OverQueue": 2.5}, {"over_queue": 2}),
        ({"OverQueue": True}, {"over_queue": 1}),
        ({"Pause": "1"}, {"pause": 1.0}),
        ({"AutoRestart": "False"}, {"auto_restart": False}),
        ({"AutoRestart": 1}, {"auto_restart": True}),
        ({"GPU_ID": 3}, {"GPU_ID": "3"}),
        ({"GPU_ID": None, "Unknown": 1}, {}),
        ({"AuthorizationHeader": "k"}, {"key": "k"}),
        ({"AuthorizationHeader": SECRET}, {}),
    ],
)
def test_settings_take_values_as_clients_send_them(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert changed(Every(), given) == Every(**expected)


def test_secrets_are_masked_when_set() -> None:
    assert to_json(Every(key="k"), masked=True)["AuthorizationHeader"] == "\t<secret>"
    assert to_json(Every(), masked=True)["AuthorizationHeader"] == ""
    assert to_json(Every(key="k"), masked=False)["AuthorizationHeader"] == "k"


def test_hidden_types_are_not_listed() -> None:
    assert type_list({"fake": FAKE}) == []


def test_refusals_without_reasons_are_a_single_sentence() -> None:
    assert no_match_sentence([]) == "No backends match the settings of the request given!"
    assert no_match_sentence(["a", "b", "a"]).endswith("reason(s):\n- a\n- b")
