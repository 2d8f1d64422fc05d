"""The log on the wire (swarm-core 6.3, 9.2)."""

from __future__ import annotations

import logging
import re

from tests.support.client import SwarmClient

NAMES = ["Verbose", "Debug", "Info", "Init", "Warning", "Error"]
log = logging.getLogger("swarm.test")


def test_the_kinds_of_line(client: SwarmClient) -> None:
    types = client.post("ListLogTypes")
    assert list(types) == ["types_available"]
    assert [each["name"] for each in types["types_available"]] == NAMES
    assert types["types_available"][4] == {"name": "Warning", "color": "#FFFF00", "identifier": ""}


def test_lines_come_by_kind_and_once(client: SwarmClient) -> None:
    log.warning("one")
    log.error("two")
    found = client.post("ListRecentLogMessages", types=["Warning", "Error", "Nonsense"])
    assert list(found) == ["types_available", "last_sequence_id", "data"]
    assert list(found["data"]) == ["Warning", "Error"]
    warning, error = found["data"]["Warning"][-1], found["data"]["Error"][-1]
    assert (list(warning), warning["message"], error["message"]) == (["sequence_id", "time", "message"], "one", "two")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", warning["time"])
    assert found["last_sequence_id"] >= error["sequence_id"] > warning["sequence_id"]
    seen = {"Warning": found["last_sequence_id"]}
    again = client.post("ListRecentLogMessages", types=["Warning", "Error"], last_sequence_ids=seen)
    assert again["data"]["Warning"] == [] and again["data"]["Error"][-1]["message"] == "two"


def test_secrets_are_not_shown(client: SwarmClient) -> None:
    log.warning("session %s, password=%s and Authorization: Bearer %s", "ab" * 20, "hunter22", "abcdefghijk")
    line = client.post("ListRecentLogMessages", types=["Warning"])["data"]["Warning"][-1]["message"]
    assert line == "session <secret>, password=<secret> and Authorization: Bearer <secret>"


def test_what_cannot_be_read(client: SwarmClient) -> None:
    assert list(client.post("ListRecentLogMessages")) == ["error"]
    assert list(client.post("ListRecentLogMessages", types=["Info"], last_sequence_ids={"Info": "x"})) == ["error"]
    assert client.post("ListRecentLogMessages", types="Info")["data"] == {}


def test_the_log_is_sent_nowhere(client: SwarmClient) -> None:
    assert client.post("LogSubmitToPastebin", type="loud") == {"error": "Invalid log level type specified."}
    assert client.post("LogSubmitToPastebin", type="info")["error"].startswith(
        "Failed to submit log to pastebin - server error?"
    )
