"""Models that come without a VAE take the one the user's settings name for their family, without being asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Serve, World
from tests.support.client import SwarmClient
from tests.support.models import write_model

DENOISER = {
    "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
    "guidance_in.in_layer.bias": (8,),
}
VAE = {"decoder.conv_in.weight": (8, 16, 3, 3)}


@pytest.fixture
def client(world: World, serve: Serve) -> SwarmClient:
    """A bare Flux denoiser, one with a VAE inside, and two VAEs; the settings name the second for Flux."""
    models = world.models / "Stable-Diffusion"
    write_model(models / "bare.safetensors", DENOISER)
    whole = {f"model.diffusion_model.{name}": shape for name, shape in DENOISER.items()}
    write_model(models / "whole.safetensors", {**whole, "vae.decoder.conv_in.weight": (8, 16, 3, 3)})
    for name in ("ae", "mine"):
        write_model(world.models / "VAE" / f"{name}.safetensors", VAE)
    client = serve()
    client.post("ChangeUserSettings", settings={"vaes.defaultfluxvae": "mine"})
    return client


@pytest.mark.parametrize(
    ("asked", "vae"),
    [
        ({"model": "bare"}, "mine.safetensors"),
        ({"model": "bare", "vae": "ae"}, "ae.safetensors"),
        ({"model": "whole"}, None),
        ({"model": "whole", "automaticvae": True}, "mine.safetensors"),
    ],
)
def test_a_model_without_a_vae_takes_the_one_in_the_settings(
    client: SwarmClient, asked: dict[str, Any], vae: str | None
) -> None:
    messages = client.generate_ws(prompt="a cat", steps=1, seed=1, width=64, height=64, **asked)
    assert not [message["error"] for message in messages if "error" in message]
    said = json.loads(next(message["metadata"] for message in messages if "image" in message))
    assert next((one["name"] for one in said["sui_models"] if one["param"] == "vae"), None) == vae
