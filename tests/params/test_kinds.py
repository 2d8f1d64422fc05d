from __future__ import annotations

import base64

import pytest

from swarm.base.errors import BadInput, NotPermitted
from swarm.features.core import CFG_SCALE, MODEL, PROMPT, SEED, STEPS
from swarm.features.init_image import INIT_IMAGE
from swarm.features.lora import LORA_WEIGHTS, LORAS
from swarm.features.output import DO_NOT_SAVE
from swarm.features.sampling import SAMPLER, SCHEDULER
from swarm.media.image import Picture
from swarm.params.media_kinds import Media, MediaList
from swarm.params.param import OMITTED
from swarm.params.request import parse_request
from tests.params.fixed_choices import CHOICES, PARAMS, PNG, parsed

PNG_TEXT = base64.b64encode(PNG).decode()


@pytest.mark.parametrize(
    ("key", "value", "inner"),
    [
        (
            "steps",
            "x",
            "Invalid integer value for param Steps - 'x' - must be a valid integer (eg '0', '3', '-5', etc)",
        ),
        ("steps", -1, "Invalid integer value for param Steps - '-1' - must be between 0 and 500"),
        ("steps", 10**9, "Invalid integer value for param Steps - '1000000000' - must be between 0 and 500"),
        (
            "steps",
            1.5,
            "Invalid integer value for param Steps - '1.5' - must be a valid integer (eg '0', '3', '-5', etc)",
        ),
        ("seed", -2, "Invalid integer value for param Seed - '-2' - must be between -1 and 9.223372036854776E+18"),
        ("width", 7, "Invalid integer value for param Width - '7' - must be between 64 and 16384"),
        (
            "cfgscale",
            "high",
            "Invalid decimal value for param CFG Scale - 'high' - "
            "must be a valid decimal (eg '0.0', '3.5', '-5.2', etc)",
        ),
        (
            "cfgscale",
            "NaN",
            "Invalid decimal value for param CFG Scale - 'NaN' - "
            "must be a valid decimal (eg '0.0', '3.5', '-5.2', etc)",
        ),
        ("cfgscale", 101, "Invalid decimal value for param CFG Scale - '101' - must be between 0 and 100"),
        ("donotsave", "1", "Invalid boolean value for param Do Not Save - '1' - must be exactly 'true' or 'false'"),
        ("scheduler", "x", "Invalid value for param Scheduler - 'x' - must be one of: `normal`, `karras`"),
        ("model", "no", "Invalid model value for param Model - 'no' - are you sure that model name is correct?"),
        ("loras", "ink,dog", "Invalid value for param LoRAs - 'ink,dog' - must be one of: `(None)`, `ink`, `Zoo/cat`"),
        (
            "loraweights",
            "0.5,heavy",
            "Invalid decimal value for param LoRA Weights - '0.5,heavy' - "
            "must be a valid decimal (eg '0.0', '3.5', '-5.2', etc)",
        ),
    ],
)
def test_bad_values_get_the_wires_sentence(key: str, value: str | float, inner: str) -> None:
    name = PARAMS.params[key].name
    with pytest.raises(BadInput) as caught:
        parsed({key: value})
    assert caught.value.sentence == f"Invalid value for parameter {name}: {inner}"


def test_what_a_clean_rule_refuses_is_said_in_its_own_words() -> None:
    with pytest.raises(BadInput) as caught:
        parsed({"rawresolution": "10x10"})
    assert caught.value.sentence == "Invalid resolution: 10x10 (must be between 64x64 and 16384x16384)"


def test_values_are_understood_in_every_spelling() -> None:
    input = parsed(
        {
            "Steps": "12",
            "cfg_scale": "1,0.5",
            "seed": 1024.0,
            "doNotSave": True,
            "SAMPLER": "2M_sde",
            "Scheduler": "Karras",
            "model": "SD_XL",
            "loras": ["CAT", "ink.safetensors"],
            "lora_weights": "0.50, 1,000",
        }
    )
    assert (input.get(STEPS), input.get(CFG_SCALE), input.get(SEED)) == (12, 10.5, 1024)
    assert (input.get(SAMPLER), input.get(SCHEDULER), input.get(DO_NOT_SAVE)) == ("dpmpp_2m_sde", "karras", True)
    assert input.get(MODEL) == "Official/sd_xl_base_1.0.safetensors"
    assert input.get(LORAS) == ("Zoo/cat", "ink")
    assert input.get(LORA_WEIGHTS) == ("0.5", "1", "0")


@pytest.mark.parametrize("text", ["", " ", "(None)", "None"])
def test_an_empty_model_is_no_model(text: str) -> None:
    assert not parsed({"model": text}).has(MODEL)


def test_a_folder_on_the_wire_may_have_backslashes() -> None:
    assert parsed({"model": "Official\\sd_xl_base_1.0"}).get(MODEL) == "Official/sd_xl_base_1.0.safetensors"


def test_values_equal_to_ignore_if_unset_the_parameter() -> None:
    assert not parsed({"donotsave": False}).has(DO_NOT_SAVE)
    assert not parsed({"negativeprompt": "", "images": 1, "loras": []}).values


def test_a_parameter_may_need_a_permission() -> None:
    with pytest.raises(NotPermitted) as caught:
        parse_request({"exactbackendid": 0}, params=PARAMS, choices=CHOICES, permits=lambda permission: False)
    assert caught.value.sentence == "You do not have permission to use parameter Exact Backend ID."


@pytest.mark.parametrize("text", [PNG_TEXT, f"data:image/png;base64,{PNG_TEXT}", f"data:text/html;base64,{PNG_TEXT}"])
def test_a_picture_may_come_as_base64_or_data_url(text: str) -> None:
    assert parsed({"initimage": text}).get(INIT_IMAGE) == Picture(data=PNG, mime="image/png")


@pytest.mark.parametrize("text", ["inputs/cat.png", "data:image/png;base64,inputs/cat.png"])
def test_a_picture_may_come_from_history_and_keeps_its_path(text: str) -> None:
    assert parsed({"initimage": text}).get(INIT_IMAGE) == Picture(data=PNG, mime="image/png", path="inputs/cat.png")


@pytest.mark.parametrize("text", ["", " ", "data:image/png;base64,"])
def test_a_blank_picture_is_no_picture(text: str) -> None:
    assert not parsed({"initimage": text}).has(INIT_IMAGE)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("/etc/passwd", "must be a valid base64 string - got '/etc/passw...'"),
        ("../../x.png", "must be a valid base64 string - got '../../x.pn...'"),
        ("file:///etc/passwd", "must be a valid base64 string - got 'file:///et...'"),
        ("abc", "must be a valid base64 string - got 'abc...'"),
        ("iVBORw0KGgo\n=", "must be a valid base64 string - got 'iVBORw0KGg...'"),
        ("aGVsbG8gd29ybGQh", "this is not a PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF picture"),
    ],
)
def test_what_is_no_picture_gets_a_sentence(text: str, end: str) -> None:
    with pytest.raises(BadInput) as caught:
        parsed({"initimage": text})
    start = "Invalid value for parameter Init Image: Invalid IMAGE value for param Init Image - "
    assert caught.value.sentence == f"{start}'{text}' - {end}"


@pytest.mark.parametrize(
    ("path", "end"),
    [("inputs/dog.png", "file does not exist"), ("inputs/../x.png", "That path leads out of your folder.")],
)
def test_a_bad_path_gets_a_sentence(path: str, end: str) -> None:
    with pytest.raises(BadInput) as caught:
        parsed({"initimage": path})
    assert caught.value.sentence.endswith(f"Invalid file path for param Init Image - '{path}' - {end}")


def test_a_refused_upload_does_not_come_back_whole() -> None:
    with pytest.raises(BadInput) as caught:
        parsed({"initimage": "A" * 1_000_001})
    assert len(caught.value.sentence) < 600


def test_several_files_come_as_a_list() -> None:
    pictures = MediaList(name="Prompt Images", description="")
    found = pictures.parse(f"inputs/cat.png|{PNG_TEXT}", CHOICES)
    assert found == (Picture(data=PNG, mime="image/png", path="inputs/cat.png"), Picture(data=PNG, mime="image/png"))
    assert pictures.to_json(found) == ["inputs/cat.png"]
    assert pictures.parse("", CHOICES) is None
    with pytest.raises(BadInput, match="Invalid image-list value for param Prompt Images"):
        pictures.parse("nothing", CHOICES)


def test_sounds_and_videos_are_told_from_pictures() -> None:
    sound = Media(name="Sound", description="", category="audio")
    wav = base64.b64encode(b"RIFF\x00\x00\x00\x00WAVEfmt ").decode()
    assert sound.parse(wav, CHOICES) == Picture(data=b"RIFF\x00\x00\x00\x00WAVEfmt ", mime="audio/wav")
    assert (sound.type_name, sound.default_text()) == ("audio", None)
    with pytest.raises(BadInput, match="Invalid AUDIO value for param Sound"):
        sound.parse(PNG_TEXT, CHOICES)


def test_pictures_without_a_path_are_left_out_of_metadata() -> None:
    assert INIT_IMAGE.to_json(Picture(data=PNG, mime="image/png")) is OMITTED
    assert PROMPT.to_json("a") == "a"
