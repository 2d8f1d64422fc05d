"""MiniMax H3 (video with sound) and MiniMax Music 3, and ACE-Step, which makes music too."""

from __future__ import annotations

from swarm.architectures.architecture import CompatClass
from swarm.architectures.families.listed import listed
from swarm.architectures.rules import with_denoiser, with_keys, with_lora_for

H3_COMPAT = CompatClass(
    id="minimax-h3",
    short_code="MMH3",
    loras_target_text_enc=False,
    is_text2video=True,
    is_image2video=True,
    has_joint_av_latents=True,
    resolution_precision=32,
)
MUSIC_COMPAT = CompatClass(id="minimax-music-3", short_code="MMM3", is_audio_model=True)
ACE_STEP_COMPAT = CompatClass(id="ace-step-1_5", short_code="Ace15", is_audio_model=True)

MINIMAX_H3 = listed(
    "minimax-h3",
    "MiniMax H3",
    H3_COMPAT,
    960,
    detect=with_denoiser("video_patch_proj.weight", "audio_patch_proj.weight"),
)
MINIMAX_H3_LORA = listed(
    "minimax-h3/lora",
    "MiniMax H3 LoRA",
    H3_COMPAT,
    960,
    detect=(with_lora_for("blocks.0.adaln_proj.linear") | with_lora_for("blocks.0.attn.qkv_proj"))
    & with_lora_for("blocks.49.mlp.fc2", "token_refiner.blocks.0.attn.out_proj"),
)
MINIMAX_H3_EMBEDDING = listed(
    "minimax-h3/embedding",
    "MiniMax H3 Embedding",
    H3_COMPAT,
    960,
    detect=lambda header: header.has("qwen3vl_32b") and len(header.tensors) < 4,
)
MINIMAX_H3_VAE = listed(
    "minimax-h3/vae",
    "MiniMax H3 Video VAE",
    H3_COMPAT,
    960,
    detect=with_keys("decoder.transformer_blocks.0.scale1", "encoder.down.5.block.0.conv1.weight"),
)
MINIMAX_H3_AUDIO_VAE = listed(
    "minimax-h3/audio-vae",
    "MiniMax H3 Audio VAE",
    H3_COMPAT,
    960,
    detect=with_keys("pre_block.attn.zero_k_bias"),
)
MINIMAX_MUSIC_3 = listed(
    "minimax-music-3",
    "MiniMax Music 3",
    MUSIC_COMPAT,
    0,
    detect=with_denoiser(
        "cond_layer_logits",
        "latent_conditioners.0.weight",
        "diffusion_transformer.transformer.layers.0.self_attn.to_qkv.weight",
    ),
)
ACE_STEP_15 = listed(
    "ace-step-1_5",
    "Ace Step 1.5",
    ACE_STEP_COMPAT,
    0,
    detect=with_denoiser("encoder.lyric_encoder.layers.0.post_attention_layernorm.weight"),
)
