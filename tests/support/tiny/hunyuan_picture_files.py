"""A tiny HunyuanVideo for clips from a picture, which its LLaMA sees through CLIP; whole words are tokens."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideoImageToVideoPipeline,
    HunyuanVideoTransformer3DModel,
)
from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video_image2video import DEFAULT_PROMPT_TEMPLATE
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from swarm.engine.words.tokenizer import clip_tokenizer
from tests.support.tiny import hunyuan_files
from tests.support.tiny.weights import refreshed, state, write

FAMILIES = {"latent_concat": "hunyuan-video-i2v", "token_replace": "hunyuan-video-i2v-v2"}
_MARKS = ["<unk>", "<|begin_of_text|>", "<pad>", "<image>"]
_MARKS += ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
_SIDE = 336


@cache
def tokenizer() -> Any:
    words = re.findall(r"\w+|[^\w\s]", DEFAULT_PROMPT_TEMPLATE["template"] + " a red fox in the snow\n")
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys([*_MARKS, "\n", *words]))}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.add_special_tokens(_MARKS)
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]|\n"), "removed", invert=True)
    first = ("<|begin_of_text|>", 1)
    made.post_processor = processors.TemplateProcessing("<|begin_of_text|> $A", special_tokens=[first])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<|begin_of_text|>", unk_token="<unk>", pad_token="<pad>"
    )


@cache
def transformer(kind: str) -> Any:
    """`kind`: how it is shown the picture."""
    model = HunyuanVideoTransformer3DModel(
        in_channels=9 if kind == "latent_concat" else 4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=10,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        text_embed_dim=16,
        pooled_projection_dim=16,
        rope_axes_dim=(2, 4, 4),
        guidance_embeds=kind == "token_replace",
        image_condition_type=kind,
    )
    return refreshed(model, 1)


@cache
def llava() -> Any:
    text = LlamaConfig(
        vocab_size=300,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=4,
        num_attention_heads=1,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
    )
    vision = CLIPVisionConfig(
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=1,
        image_size=_SIDE,
        patch_size=14,
        hidden_act="quick_gelu",
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=3, pad_token_id=2)
    return refreshed(LlavaForConditionalGeneration(config), 5)


def pipeline(kind: str) -> Any:
    own = hunyuan_files.pipeline()
    return HunyuanVideoImageToVideoPipeline(
        transformer=transformer(kind),
        vae=own.vae,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder=llava(),
        tokenizer=tokenizer(),
        text_encoder_2=hunyuan_files.clip(),
        tokenizer_2=clip_tokenizer(),
        image_processor=CLIPImageProcessor(size={"shortest_edge": _SIDE}, crop_size={"height": _SIDE, "width": _SIDE}),
    )


def save(folder: Path, kind: str) -> Path:
    tensors = hunyuan_files.published_tensors(transformer(kind))
    return write(folder / f"hunyuan_{kind}.safetensors", tensors, {"transformer": {"rope_axes_dim": [2, 4, 4]}})


def save_llama(folder: Path) -> Path:
    """The half that reads, with its tokenizer inside."""
    tensors = {f"model.{name}": value for name, value in state(llava().model.language_model).items()}
    text = tokenizer().backend_tokenizer.to_str()
    tensors["tokenizer_json"] = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    return write(folder / "llava_llama3_fp16.safetensors", tensors)


def save_eyes(folder: Path) -> Path:
    """The half that sees, with what stands between the two."""
    seeing, between = state(llava().model.vision_tower), state(llava().model.multi_modal_projector)
    tensors = {f"vision_model.{name.removeprefix('vision_model.')}": value for name, value in seeing.items()}
    tensors |= {f"multi_modal_projector.{name}": value for name, value in between.items()}
    return write(folder / "llava_llama3_vision.safetensors", tensors)
