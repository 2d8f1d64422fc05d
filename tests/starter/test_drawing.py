"""The shipped file, loaded by plain diffusers, draws what it is told."""

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.torch
STARTER = Path(__file__).parents[2] / "assets" / "starter"


# diffusers asks numpy for a copy in the old way when it sets up a DPM++ solver.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_single_file_draws_a_night_and_a_day() -> None:
    from tools.starter_model.evaluate import draw, load
    from tools.starter_model.readings import read_time

    pipeline = load(STARTER / "postcards.safetensors", STARTER / "diffusers", "dpmpp_2m_karras")
    prompts = ["a red house on a meadow at night, under a full moon", "a red house on a meadow by day, under the sun"]
    night, day = draw(pipeline, prompts, [1, 1])
    assert night.shape == (256, 256, 3)
    assert [read_time(night), read_time(day)] == ["night", "day"]


def test_the_encoder_is_the_thumbnail_it_claims_to_be() -> None:
    import torch

    from tools.starter_model.architecture import SCALING_FACTOR
    from tools.starter_model.dataset import pixels_at
    from tools.starter_model.evaluate import load
    from tools.starter_model.stage_vae import to_tensor
    from tools.starter_model.thumbnail import thumbnails

    pipeline = load(STARTER / "postcards.safetensors", STARTER / "diffusers", "euler")
    pixels = np.stack([pixels_at(1, index) for index in range(2)])
    raw = thumbnails(pixels)
    with torch.no_grad():
        encoded = pipeline.vae.encode(to_tensor(pixels)).latent_dist.mean
        mixed = pipeline.vae.post_quant_conv(encoded)
    assert encoded.mul(SCALING_FACTOR).std().item() == pytest.approx(1, abs=0.4)
    assert (mixed - raw).abs().max().item() < 0.05


def test_clip_numbers_are_the_real_ones() -> None:
    from swarm.engine.words.tokenizer import clip_tokenizer

    tokenizer = clip_tokenizer()
    assert len(tokenizer) == 49408
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokenizer.pad_token_id == 49407
    assert tokenizer.model_max_length == 77
