"""NVIDIA Cosmos 1 (video) and Cosmos Predict 2 (pictures)."""

from __future__ import annotations

from swarm.architectures.architecture import CompatClass
from swarm.architectures.families.listed import listed
from swarm.architectures.rules import Rule, with_keys, with_size

COMPAT = CompatClass(id="nvidia-cosmos-1", short_code="Cosmos", is_text2video=True, is_image2video=True)
PREDICT_2B_COMPAT = CompatClass(id="nvidia-cosmos-predict2-t2i-2b", short_code="Pred2", is_text2video=True)
PREDICT_14B_COMPAT = CompatClass(id="nvidia-cosmos-predict2-t2i-14b", short_code="Pred2", is_text2video=True)


def _cosmos(width: int, inputs: int) -> Rule:
    """By the width of the network, and whether frames to go on from come in beside the noise."""
    wide = with_size(width, -1, "net.blocks.block0.blocks.0.adaLN_modulation.1.weight")
    return wide & with_size(inputs, -1, "net.x_embedder.proj.1.weight")


_TEXT, _VIDEO = 68, 72

COSMOS_7B_TEXT = listed(
    "nvidia-cosmos-1-7b-text2world",
    "NVIDIA Cosmos 1.0 Diffusion (7B) Text2World",
    COMPAT,
    960,
    detect=_cosmos(4096, _TEXT),
)
COSMOS_14B_TEXT = listed(
    "nvidia-cosmos-1-14b-text2world",
    "NVIDIA Cosmos 1.0 Diffusion (14B) Text2World",
    COMPAT,
    960,
    detect=_cosmos(5120, _TEXT),
)
COSMOS_7B_VIDEO = listed(
    "nvidia-cosmos-1-7b-video2world",
    "NVIDIA Cosmos 1.0 Diffusion (7B) Video2World",
    COMPAT,
    960,
    detect=_cosmos(4096, _VIDEO),
)
COSMOS_14B_VIDEO = listed(
    "nvidia-cosmos-1-14b-video2world",
    "NVIDIA Cosmos 1.0 Diffusion (14B) Video2World",
    COMPAT,
    960,
    detect=_cosmos(5120, _VIDEO),
)
COSMOS_VAE = listed(
    "nvidia-cosmos-1/vae",
    "NVIDIA Cosmos 1.0 Diffusion VAE",
    COMPAT,
    960,
    detect=with_keys("decoder.unpatcher3d._arange"),
)
PREDICT_2B = listed(
    "nvidia-cosmos-predict2-t2i-2b",
    "NVIDIA Cosmos Predict2 Text2Image 2B",
    PREDICT_2B_COMPAT,
    1024,
    detect=with_keys(
        "norm_out.linear_1.weight",
        "time_embed.t_embedder.linear_1.weight",
        "transformer_blocks.27.norm3.linear_2.weight",
    ),
)
PREDICT_14B = listed(
    "nvidia-cosmos-predict2-t2i-14b",
    "NVIDIA Cosmos Predict2 Text2Image 14B",
    PREDICT_14B_COMPAT,
    1024,
    detect=with_keys(
        "net.blocks.0.adaln_modulation_cross_attn.1.weight",
        "net.pos_embedder.dim_temporal_range",
        "net.x_embedder.proj.1.weight",
        "net.blocks.35.adaln_modulation_mlp.2.weight",
    ),
)
