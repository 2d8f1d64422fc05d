"""HunyuanVideo from a picture from single files: its LLaMA 3 sees the picture too, through CLIP-L and a projector that
lie in a file of their own."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import FlowMatchEulerDiscreteScheduler, HunyuanVideoImageToVideoPipeline
from transformers import CLIPImageProcessor, CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration

from swarm.base.errors import BadInput
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.loader import fill, refuse_gaps
from swarm.engine.whole.hunyuan import SHIFT, hunyuan_transformer, llama_3, plain_clip
from swarm.engine.whole.hunyuan_vae import hunyuan_vae
from swarm.engine.whole.single import Single
from swarm.engine.words.tokenizer import clip_tokenizer

_EYES, _PROJECTOR = "vision_model.", "multi_modal_projector."
_PICTURE, _END = "<image>", "<|end_header_id|>"
_HEAD = 64


def load_hunyuan_picture(single: Single) -> Any:
    """The pipeline. Raises BadInput for what it does not understand, and for missing companions."""
    tokenizer, seeing = _llava(single)
    side = int(seeing.config.vision_config.image_size)
    return HunyuanVideoImageToVideoPipeline(
        transformer=hunyuan_transformer(Checkpoint(single.file.path), single, sees=True),
        vae=hunyuan_vae(single),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        text_encoder=seeing,
        tokenizer=tokenizer,
        text_encoder_2=plain_clip(single),
        tokenizer_2=clip_tokenizer(),
        image_processor=CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side}),
    )


def _llava(single: Single) -> tuple[Any, Any]:
    """(tokenizer, LLaMA 3 that sees)."""
    tokenizer, llama = llama_3(single)
    known = tokenizer.get_vocab()
    if _PICTURE not in known or _END not in known:
        raise BadInput(
            f"The tokenizer of the text encoder '{single.parts['llama'].name}' knows no pictures. Put the "
            "'tokenizer.json' of llava-llama-3-8b beside it."
        )
    part = single.part("clip_vision", "CLIP vision encoder", "llava_llama3_vision.safetensors")
    file = Checkpoint(part.path)
    if _PROJECTOR + "linear_1.weight" not in file.shapes or _EYES + "embeddings.class_embedding" not in file.shapes:
        raise BadInput(
            f"The file '{part.name}' is not the vision encoder of HunyuanVideo. Put 'llava_llama3_vision.safetensors' "
            "into the folder models/clip_vision and refresh the model list."
        )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_eyes_config(file.below(_EYES))),
        text_config=llama.config,
        image_token_index=known[_PICTURE],
        pad_token_id=tokenizer.pad_token_id,
    )
    with init_empty_weights(include_buffers=False):
        model: Any = LlavaForConditionalGeneration(config)
    model.model.language_model = llama
    model.lm_head = torch.nn.Identity()  # nobody reads what it would write
    _fill(model.model.vision_tower, part.name, file, _EYES, single.dtype)
    _fill(model.model.multi_modal_projector, part.name, file, _PROJECTOR, single.dtype)
    return tokenizer, model.to(single.dtype).eval()


def _fill(module: Any, name: str, file: Checkpoint, prefix: str, dtype: torch.dtype) -> None:
    wrapped = _EYES if any(own.startswith(_EYES) for own, _weight in module.named_parameters()) else ""
    fill(module, name, ((wrapped + own, tensor) for own, tensor in file.tensors_below(prefix)), dtype)
    refuse_gaps(name, module)


def _eyes_config(shapes: Shapes) -> dict[str, Any]:
    """CLIP-L's config by its shapes."""
    width, _channels, patch, _patch = shapes["embeddings.patch_embedding.weight"]
    places = shapes["embeddings.position_embedding.weight"][0] - 1
    return {
        "hidden_size": width,
        "intermediate_size": shapes["encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": count(shapes, r"encoder\.layers\.(\d+)\."),
        "num_attention_heads": max(1, width // _HEAD),
        "patch_size": patch,
        "image_size": round(places**0.5) * patch,
        "hidden_act": "quick_gelu",
    }
