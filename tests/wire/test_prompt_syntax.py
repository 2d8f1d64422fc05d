"""Prompt tags through the front door: what a picture is made from, and what its metadata says (swarm-t2i 5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Serve, World
from tests.support.client import SwarmClient
from tests.support.models import SD15_TENSORS, write_model

SMALL: dict[str, Any] = {"model": "tiny", "steps": 1, "seed": 5, "width": 64, "height": 64}
LORA = {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (4, 2)}


@pytest.fixture
def stocked(world: World, serve: Serve) -> SwarmClient:
    """A server whose model, LoRAs and embedding answer to words."""
    write_model(
        world.models / "Stable-Diffusion" / "tiny.safetensors",
        SD15_TENSORS,
        **{"modelspec.trigger_phrase": "tinystyle"},
    )
    for name, phrase in (("ink", "inky; drawn"), ("face-fix", "")):
        write_model(world.models / "Lora" / f"{name}.safetensors", LORA, **{"modelspec.trigger_phrase": phrase})
    write_model(world.models / "Embeddings" / "neg" / "bad hands.safetensors", {"emb_params": (1, 4)})
    write_model(world.models / "clipseg" / "clipseg-rd64-refined.safetensors", {"logit_scale": (1,)})
    return serve()


def said(client: SwarmClient, **params: Any) -> dict[str, Any]:
    """The metadata of the picture."""
    messages = client.generate_ws(**{**SMALL, **params})
    assert not [message["error"] for message in messages if "error" in message]
    found: dict[str, Any] = json.loads(next(message["metadata"] for message in messages if "image" in message))
    return found


def test_loras_parameters_and_embeddings_of_a_prompt_are_recorded(stocked: SwarmClient) -> None:
    prompt = (
        "<trigger> a <lora:ink:0.5> cat <embed:bad hands> <param[cfgscale]:3> <refiner><param[steps]:9>sharp "
        "<segment:face,0.4><lora:face-fix:0.8:0.2><param[sampler]:euler>a face"
    )
    text = said(stocked, prompt=prompt, negativeprompt="<embed:hands>, <segment:face,0.4>blurred")
    params, extra = text["sui_image_params"], text["sui_extra_data"]
    assert params["prompt"] == (
        "tinystyle, inky, drawn a  cat <embed:neg/bad hands>  <refiner//cid=1>sharp <segment:face,0.4//cid=11>a face"
    )
    assert params["negativeprompt"] == "<embed:neg/bad hands>, <segment:face,0.4//cid=11>blurred"
    assert (params["loras"], params["loraweights"]) == (["ink", "face-fix"], ["0.5", "0.8"])
    assert (params["loratencweights"], params["lorasectionconfinement"]) == (["0.5", "0.2"], ["0", "11"])
    assert (params["steps"], params["cfgscale"]) == (1, 3.0)
    assert params["sectionparams"] == {"1": {"steps": 9}, "11": {"sampler": "euler"}}
    assert extra["original_prompt"] == prompt
    assert (extra["used_embeddings"], extra["prompted_loras"]) == (["neg/bad hands"], ["ink", "face-fix"])
    assert [model["param"] for model in text["sui_models"]] == ["model", "used_embeddings", "loras", "loras"]


def test_what_metadata_says_makes_the_same_picture_again(stocked: SwarmClient) -> None:
    prompt = (
        "a <random:red,green,blue> <setvar[x]:cat> <var:x> <random:<segment:hand>a,<segment:face>b> <lora:ink> "
        "<region:0,0,0.5,1><param[steps]:4> c <region:end> <embed:hands>"
    )
    first = said(stocked, prompt=prompt)["sui_image_params"]
    again = said(stocked, **{**first, "images": 1})["sui_image_params"]
    assert again == first
    assert "wildcardseed" in first


def test_a_lora_is_not_added_twice_when_the_user_does_not_want_it(stocked: SwarmClient) -> None:
    stocked.post("ChangeUserSettings", settings={"ParamParsing.AllowLoraStacking": False})
    text = said(stocked, prompt="a <lora:ink> b <lora:ink:0.5>")
    assert text["sui_image_params"]["loras"] == ["ink"]
    assert text["sui_extra_data"]["parser_warnings"] == ["LoRA 'ink' is already applied and will not be added again."]


def test_the_wildcard_seed_may_count_the_options(stocked: SwarmClient) -> None:
    text = said(stocked, prompt="<random:a,b,c,d>", wildcardseed=6, wildcardseedbehavior="Index")
    assert text["sui_image_params"]["prompt"] == "c"


def test_a_tag_may_set_the_wildcard_seed_of_those_behind_it(stocked: SwarmClient) -> None:
    text = said(stocked, prompt="<param[wildcardseed]:42><random:0,1,2> <random:0,1,2> <lora:ink>")
    assert (text["sui_image_params"]["prompt"], text["sui_image_params"]["wildcardseed"]) == ("1 0 ", 42)
    byindex = said(stocked, prompt="<param[wildcardseedbehavior]:Index><random:a,b,c,d>", wildcardseed=6)
    assert byindex["sui_image_params"]["prompt"] == "c"


def test_too_many_regions_are_refused_with_a_sentence(stocked: SwarmClient) -> None:
    messages = stocked.generate_ws(**SMALL, prompt="<region:0,0,1,1>a" * 101)
    assert "The prompt has more than 100 regions, objects and segments." in [m.get("error") for m in messages]


def test_a_section_cannot_be_given_a_value_its_parameter_cannot_have(stocked: SwarmClient) -> None:
    messages = stocked.generate_ws(**SMALL, prompt="<refiner><param[steps]:many>")
    [error] = [m["error"] for m in messages if "error" in m]
    assert error.startswith("Invalid value for parameter Steps:")


def test_odd_section_values_are_as_if_not_sent(stocked: SwarmClient) -> None:
    odd: list[Any] = [[], "x", {"1": []}, {"x": {"steps": 1}}, {"1": {"prompt": "no"}}, {"-5": {"steps": 1}}]
    for one in odd:
        assert "sectionparams" not in said(stocked, prompt="a", sectionparams=one)["sui_image_params"]


PIECES = st.sampled_from(
    [
        "<",
        ">",
        ":",
        "[",
        "]",
        "|",
        ",",
        "<random:",
        "<segment:face",
        "//cid=11>",
        "<param[steps]:",
        "<lora:ink",
        "1-9",
        "x",
    ]
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES | st.text(max_size=4), max_size=25).map("".join))
def test_no_prompt_makes_the_server_fail(stocked: SwarmClient, prompt: str) -> None:
    answer = stocked.raw("TestPromptFill", {"session_id": stocked.session_id, "prompt": prompt})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) & {"result", "error"}


def test_a_bomb_is_named(stocked: SwarmClient) -> None:
    answer = stocked.post("TestPromptFill", prompt="a <repeat[99999]:<repeat[99999]:b>> c")
    assert answer["error"] == (
        "The tags of this prompt unfold into too much text, at '<repeat[99999]:<repeat[99999]:b>>'."
    )


def test_embeddings_that_a_model_cannot_hear_are_warned_of(stocked: SwarmClient, world: World) -> None:
    assert "parser_warnings" not in said(stocked, prompt="<embed:bad hands>")["sui_extra_data"]
    write_model(
        world.models / "Stable-Diffusion" / "deaf.safetensors",
        {"some.weight": (1,)},
        **{"modelspec.architecture": "hidream-i1"},
    )
    stocked.post("TriggerRefresh", strong=True)
    assert "parser_warnings" not in said(stocked, model="deaf", prompt="a cat")["sui_extra_data"]
    warnings = said(stocked, model="deaf", prompt="<embed:bad hands>")["sui_extra_data"]["parser_warnings"]
    assert len(warnings) == 1
    assert warnings[0].startswith("Embeddings mean nothing to")
