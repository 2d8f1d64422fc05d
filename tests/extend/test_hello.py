"""The tutorial extension works in a running server."""

from __future__ import annotations

from tests.support.client import SwarmClient


def test_the_route_greets(client: SwarmClient) -> None:
    assert client.post("Hello", name="Ada", times=2) == {
        "greetings": ["Hello, Ada!", "Hello, Ada!"],
        "user_id": "local",
    }


def test_the_tag_the_parameter_and_the_sampler_are_offered_and_act(client: SwarmClient) -> None:
    listed = client.post("ListT2IParams")["list"]
    assert "hellomood" in [each["id"] for each in listed]
    (samplers,) = [each["values"] for each in listed if each["id"] == "sampler"]
    assert "hello_halfway" in samplers
    (picture,) = client.generate(
        prompt="a <shout:red> cat", model="tiny", steps=2, seed=1, hellomood="cheerful", sampler="hello_halfway"
    )["images"]
    assert picture.startswith("View/local/")
