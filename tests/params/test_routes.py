from __future__ import annotations

from pathlib import Path

from tests.conftest import Serve, World
from tests.support.client import SwarmClient
from tests.support.models import write_model


def test_the_list_has_everything_a_page_needs(client: SwarmClient) -> None:
    answer = client.post("ListT2IParams")
    assert list(answer) == [
        "list",
        "groups",
        "models",
        "model_compat_classes",
        "model_classes",
        "wildcards",
        "param_edits",
    ]
    assert list(answer["models"]) == [
        "Stable-Diffusion",
        "VAE",
        "LoRA",
        "Embedding",
        "ControlNet",
        "Clip",
        "ClipVision",
    ]
    assert answer["models"]["Stable-Diffusion"] == [["tiny.safetensors", "stable-diffusion-v1"]]
    by_id = {param["id"]: param for param in answer["list"]}
    assert "euler" in by_id["sampler"]["values"]
    assert "karras" in by_id["scheduler"]["values"]
    assert {param["group"] for param in answer["list"]} - {None} == {group["id"] for group in answer["groups"]}
    assert all(len(param) == 28 for param in answer["list"])
    assert answer["model_classes"]["stable-diffusion-v1"]["compat_class"] in answer["model_compat_classes"]


def test_a_refresh_finds_new_models_but_not_twice_in_ten_seconds(serve: Serve, world: World) -> None:
    def names(client: SwarmClient, **options: object) -> list[str]:
        models = client.post("TriggerRefresh", **options)["models"]["Stable-Diffusion"]
        return [name for name, _ in models]

    client = serve()
    write_model(_checkpoint(world, "later"))
    assert names(client, strong=False) == ["tiny.safetensors"]
    assert names(client, refreshType="wildcards") == ["tiny.safetensors"]
    assert names(client, refreshType="everything") == ["tiny.safetensors"]
    assert names(client) == ["later.safetensors", "tiny.safetensors"]
    write_model(_checkpoint(world, "still later"))
    assert names(client) == ["later.safetensors", "tiny.safetensors"]


def _checkpoint(world: World, name: str) -> Path:
    return world.models / "Stable-Diffusion" / f"{name}.safetensors"
