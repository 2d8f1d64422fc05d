"""Which files go beside a video model of one file: found by their usual names, each family its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.features.video_parts import video_companions
from swarm.jobs.job import ModelFile
from swarm.params.input import GenerationInput
from tests.features.test_text_encoders import Shelf

CLIPS = (
    "umt5_xxl_fp16.safetensors", "t5xxl_fp16.safetensors", "llava_llama3_fp16.safetensors", "clip_l.safetensors",
    "qwen_2.5_vl_7b_fp8_scaled.safetensors", "byt5_small_glyphxl_fp16.safetensors",
)  # fmt: skip
VAES = (
    "wan_2.1_vae.safetensors", "wan2.2_vae.safetensors", "ltx_video_vae.safetensors", "cogvideox_vae_bf16.safetensors",
    "hunyuan_video_vae_bf16.safetensors", "hunyuanvideo15_vae_fp16.safetensors",
)  # fmt: skip
EYES = ("clip_vision_h.safetensors", "llava_llama3_vision.safetensors", "sigclip_vision_patch14_384.safetensors")


class Shelves(Shelf):
    """Vision encoders too."""

    def names(self, subtype: str) -> tuple[str, ...]:
        return EYES if subtype == "ClipVision" else tuple(super().names(subtype))


@pytest.mark.parametrize(
    ("family", "wanted"),
    [
        ("wan-2_1-text2video-14b", "umt5xxl umt5_xxl_fp16 vae wan_2.1_vae"),
        ("wan-2_1-image2video-14b", "umt5xxl umt5_xxl_fp16 vae wan_2.1_vae clip_vision clip_vision_h"),
        ("wan-2_2-ti2v-5b", "umt5xxl umt5_xxl_fp16 vae wan2.2_vae"),
        ("lightricks-ltx-video", "t5xxl t5xxl_fp16 vae ltx_video_vae"),
        ("cogvideox", "t5xxl t5xxl_fp16 vae cogvideox_vae_bf16"),
        ("cogvideox-i2v", "t5xxl t5xxl_fp16 vae cogvideox_vae_bf16"),
        ("hunyuan-video", "llama llava_llama3_fp16 clip_l clip_l vae hunyuan_video_vae_bf16"),
        (
            "hunyuan-video-i2v",
            "llama llava_llama3_fp16 clip_l clip_l vae hunyuan_video_vae_bf16 clip_vision llava_llama3_vision",
        ),
        (
            "hunyuan-video-1_5",
            "qwen2.5vl qwen_2.5_vl_7b_fp8_scaled byt5 byt5_small_glyphxl_fp16 vae hunyuanvideo15_vae_fp16 "
            "clip_vision sigclip_vision_patch14_384",
        ),
    ],
)
def test_each_family_gets_its_own(family: str, wanted: str) -> None:
    model = ModelFile(name="model", path=Path("model"), family=family, stamp="1")
    found = video_companions.find(GenerationInput(), model, Shelves(clips=CLIPS, vaes=VAES)).parts
    words = wanted.split()
    expected = {slot: f"{name}.safetensors" for slot, name in zip(words[::2], words[1::2], strict=True)}
    assert {slot: part.name for slot, part in found.items()} == expected
