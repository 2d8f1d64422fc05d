"""Deleted models and wildcard lists are put back or deleted for good: ListTrash, RestoreFromTrash, DeleteFromTrash."""

from __future__ import annotations

from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.models import write_model

GONE = {"error": "There is nothing like that in the trash."}


def test_what_was_deleted_is_listed_and_put_back(client: SwarmClient, world: World) -> None:
    write_model(world.models / "Lora" / "sub" / "ink.safetensors")
    (world.models / "Lora" / "sub" / "ink.swarm.json").write_text('{"modelspec.title": "Ink"}')
    client.post("TriggerRefresh")
    client.post("EditWildcard", card="colors", options="red")
    assert client.post("ListTrash") == {"deleted": []}
    assert client.post("DeleteModel", modelName="sub/ink", subtype="LoRA") == {"success": True}
    assert client.post("DeleteWildcard", card="colors") == {"success": True}
    lists, model = client.post("ListTrash")["deleted"]
    assert (lists["files"], model["files"]) == (["colors.txt"], ["ink.safetensors", "ink.swarm.json"])
    assert model["time_deleted"] > 1_600_000_000_000
    assert str(world.folder) not in str(model)
    for each in (model, lists):
        assert client.post("RestoreFromTrash", id=each["id"]) == {"success": True}
        assert client.post("RestoreFromTrash", id=each["id"]) == GONE
    assert client.post("DescribeModel", modelName="sub/ink", subtype="LoRA")["model"]["title"] == "Ink"
    assert client.post("DescribeModel", modelName="colors", subtype="Wildcards")["raw"] == "red"
    assert client.post("ListTrash") == {"deleted": []}


def test_only_what_came_from_the_models_and_lists_can_be_restored(client: SwarmClient, world: World) -> None:
    place = world.data / "Trash" / "20260101-000000-0"
    (place / "files").mkdir(parents=True)
    (place / "files" / "0").write_text("x")
    (place / "origin.json").write_text('{"files": {"0": "%s"}}' % (world.data / "evil.txt"))
    broken = world.data / "Trash" / "20260101-000000-1"
    broken.mkdir()
    (broken / "origin.json").write_text("[]")
    assert client.post("ListTrash") == {"deleted": []}
    for id in ("20260101-000000-0", "20260101-000000-1", "../../etc", "", "x" * 5000):
        assert client.post("RestoreFromTrash", id=id) == GONE
        assert client.post("DeleteFromTrash", id=id) == GONE
    assert (place / "files" / "0").exists()
    assert not (world.data / "evil.txt").exists()


def test_nothing_is_restored_over_another_file(client: SwarmClient, world: World) -> None:
    assert client.post("DeleteModel", modelName="tiny") == {"success": True}
    [deleted] = client.post("ListTrash")["deleted"]
    write_model(world.models / "Stable-Diffusion" / "tiny.safetensors")
    answer = client.post("RestoreFromTrash", id=deleted["id"])
    assert answer == {"error": "There is another file called 'tiny.safetensors' now; it cannot be restored over it."}


def test_what_is_deleted_for_good_is_gone(client: SwarmClient, world: World) -> None:
    client.post("EditWildcard", card="colors", options="red")
    client.post("DeleteModel", modelName="tiny")
    client.post("DeleteWildcard", card="colors")
    for each in client.post("ListTrash")["deleted"]:
        assert client.post("DeleteFromTrash", id=each["id"]) == {"success": True}
        assert client.post("DeleteFromTrash", id=each["id"]) == GONE
    assert client.post("ListTrash") == {"deleted": []}
    assert list((world.data / "Trash").iterdir()) == []
