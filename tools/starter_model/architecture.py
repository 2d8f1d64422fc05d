"""The shapes of the three networks, in the words of diffusers: plain Stable Diffusion, small enough for one core."""

from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

PICTURE = 256
LATENT = 16
TOKENS = 77
SCALING_FACTOR = 0.18215
TEXT_WIDTH = 96
VOCABULARY = 49408

VAE_CONFIG: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "sample_size": PICTURE,
    "block_out_channels": [16, 32, 64, 96, 96],
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "act_fn": "silu",
    "down_block_types": ["DownEncoderBlock2D"] * 5,
    "up_block_types": ["UpDecoderBlock2D"] * 5,
    "scaling_factor": SCALING_FACTOR,
}

UNET_CONFIG: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "sample_size": LATENT,
    "block_out_channels": [64, 128, 192],
    "layers_per_block": 1,
    "norm_num_groups": 16,
    "attention_head_dim": 4,
    "cross_attention_dim": TEXT_WIDTH,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
}
"""`attention_head_dim` is the number of heads, as in every Stable Diffusion 1 configuration."""

TEXT_CONFIG: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": TEXT_WIDTH,
    "intermediate_size": TEXT_WIDTH * 4,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": TOKENS,
    "hidden_act": "quick_gelu",
    "projection_dim": TEXT_WIDTH,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "pad_token_id": 49407,
}

SCHEDULER_CONFIG: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def make_vae() -> AutoencoderKL:
    """A fresh autoencoder: 256×256 pixels to 16×16 latents of four channels."""
    return AutoencoderKL(**VAE_CONFIG)


def make_unet() -> UNet2DConditionModel:
    """A fresh denoiser."""
    return UNet2DConditionModel(**UNET_CONFIG)


def make_text_encoder(vocabulary: int = VOCABULARY) -> CLIPTextModel:
    """A fresh text encoder; training uses a smaller vocabulary, with the end token as its last entry."""
    config = {**TEXT_CONFIG, "vocab_size": vocabulary}
    if vocabulary != VOCABULARY:
        config |= {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "pad_token_id": vocabulary - 1}
    return CLIPTextModel(CLIPTextConfig(**config))
