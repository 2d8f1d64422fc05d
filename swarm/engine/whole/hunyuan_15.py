"""HunyuanVideo 1.5 from single files: transformer, Qwen 2.5 VL, glyph ByT5 and VAE, each in its own; and SigLIP for
clips from a picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, HunyuanVideo15Transformer3DModel
from diffusers import HunyuanVideo15Pipeline as FromText
from diffusers.guiders import ClassifierFreeGuidance
from transformers import ByT5Tokenizer, SiglipImageProcessorPil, T5Config, T5EncoderModel

from swarm.base.errors import BadInput
from swarm.engine.control.redux import siglip
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import Shapes, t5_config
from swarm.engine.loader import fill, refuse_gaps
from swarm.engine.whole.hunyuan import PREFIXES, published, two_stream_config
from swarm.engine.whole.hunyuan_15_vae import hunyuan_15_vae
from swarm.engine.whole.single import Single, converted, source_of
from swarm.engine.words.encoders import ALONE, T5_MARKERS
from swarm.engine.words.language_models import QWEN_2_5_VL, language_model
from swarm.engine.words.tokenizer import qwen_tokenizer

_MARKER = "img_in.proj.weight"
_SHIFT = 7.0
_EYES = "sigclip_vision_patch14_384.safetensors"
_CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""How Qwen 2.5 is spoken to."""

_FUSED = re.compile(r"(.*(?:img|txt|self)_attn)_qkv\.(weight|bias)")
_TOP = (
    ("time_in.mlp.0.", "time_embed.timestep_embedder.linear_1."),
    ("time_in.mlp.2.", "time_embed.timestep_embedder.linear_2."),
    ("time_r_in.mlp.0.", "time_embed.timestep_embedder_r.linear_1."),
    ("time_r_in.mlp.2.", "time_embed.timestep_embedder_r.linear_2."),
    ("txt_in.t_embedder.mlp.0.", "context_embedder.time_text_embed.timestep_embedder.linear_1."),
    ("txt_in.t_embedder.mlp.2.", "context_embedder.time_text_embed.timestep_embedder.linear_2."),
    ("txt_in.c_embedder.", "context_embedder.time_text_embed.text_embedder."),
    ("txt_in.input_embedder.", "context_embedder.proj_in."),
    ("txt_in.individual_token_refiner.blocks.", "context_embedder.token_refiner.refiner_blocks."),
    ("byt5_in.layernorm.", "context_embedder_2.norm."),
    ("byt5_in.fc", "context_embedder_2.linear_"),
    ("vision_in.proj.0.", "image_embedder.norm_in."),
    ("vision_in.proj.1.", "image_embedder.linear_1."),
    ("vision_in.proj.3.", "image_embedder.linear_2."),
    ("vision_in.proj.4.", "image_embedder.norm_out."),
    ("img_in.proj.", "x_embedder.proj."),
    ("cond_type_embedding.", "cond_type_embed."),
    ("double_blocks.", "transformer_blocks."),
    ("final_layer.linear.", "proj_out."),
    ("final_layer.adaLN_modulation.1.", "norm_out.linear."),
)
_INNER = (
    (re.compile(r"\.img_mod\."), ".norm1."),
    (re.compile(r"\.txt_mod\."), ".norm1_context."),
    (re.compile(r"\.(?:img|self)_attn_([qkv])\."), r".attn.to_\1."),
    (re.compile(r"\.txt_attn_([qkv])\."), r".attn.add_\1_proj."),
    (re.compile(r"\.img_attn_([qk])_norm\."), r".attn.norm_\1."),
    (re.compile(r"\.txt_attn_([qk])_norm\."), r".attn.norm_added_\1."),
    (re.compile(r"\.(?:img|self)_attn_proj\."), ".attn.to_out.0."),
    (re.compile(r"\.txt_attn_proj\."), ".attn.to_add_out."),
    (re.compile(r"\.(?:img_)?mlp\.fc1\."), ".ff.net.0.proj."),
    (re.compile(r"\.(?:img_)?mlp\.fc2\."), ".ff.net.2."),
    (re.compile(r"\.txt_mlp\.fc1\."), ".ff_context.net.0.proj."),
    (re.compile(r"\.txt_mlp\.fc2\."), ".ff_context.net.2."),
    (re.compile(r"(refiner_blocks\.\d+)\.adaLN_modulation\.1\."), r"\1.norm_out.linear."),
)


class HunyuanVideo15Pipeline(FromText):
    """Clips from text by a model that can see pictures too, for clips from these."""

    def __init__(
        self,
        text_encoder: Any,
        tokenizer: Any,
        transformer: Any,
        vae: Any,
        scheduler: Any,
        text_encoder_2: Any,
        tokenizer_2: Any,
        guider: Any,
        image_encoder: Any,
        feature_extractor: Any,
    ) -> None:
        super().__init__(text_encoder, tokenizer, transformer, vae, scheduler, text_encoder_2, tokenizer_2, guider)
        self.register_modules(image_encoder=image_encoder, feature_extractor=feature_extractor)


def load_hunyuan_15(single: Single) -> Any:
    """The pipeline, clips from text. Raises BadInput for what it does not understand, and for missing companions."""
    file = Checkpoint(single.file.path)
    transformer = _transformer(file, single)
    tokenizer = qwen_tokenizer()
    tokenizer.chat_template = _CHAT
    parts = {
        "transformer": transformer,
        "vae": hunyuan_15_vae(single, int(transformer.config.out_channels)),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=_SHIFT),
        "text_encoder": _language_model(single),
        "tokenizer": tokenizer,
        "text_encoder_2": _glyphs(single),
        "tokenizer_2": ByT5Tokenizer(),
        "guider": ClassifierFreeGuidance(),
    }
    if "clip_vision" not in single.parts:
        pipe: Any = FromText(**parts)
        pipe.blind = (
            f"The model '{single.file.name}' comes without the eyes that it sees a picture with, and none were found. "
            f"Put '{_EYES}' into the folder models/clip_vision and refresh the model list."
        )
        return pipe
    eyes = siglip(single.parts["clip_vision"], single.dtype)
    side = int(eyes.config.image_size)
    processor = SiglipImageProcessorPil(size={"height": side, "width": side})
    return HunyuanVideo15Pipeline(**parts, image_encoder=eyes.to(single.dtype).eval(), feature_extractor=processor)


def _transformer(file: Checkpoint, single: Single) -> Any:
    prefix = file.prefix(PREFIXES, _MARKER)
    if prefix is None:
        raise BadInput(f"The model file '{single.file.name}' holds no denoiser of HunyuanVideo 1.5.")
    shapes = {published(name): shape for name, shape in file.below(prefix).items()}
    config = {**transformer_config(shapes), **file.config().get("transformer", {})}
    return converted(HunyuanVideo15Transformer3DModel, config, file, prefix, _converted, single.dtype)


def transformer_config(shapes: Shapes) -> dict[str, Any]:
    """What diffusers has to know, told by the shapes of the published layout."""
    return {
        **two_stream_config(shapes),
        "text_embed_2_dim": shapes["byt5_in.fc1.weight"][1],
        "image_embed_dim": shapes["vision_in.proj.0.weight"][0],
        "use_meanflow": "time_r_in.mlp.0.weight" in shapes,
    }


def _converted(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return dict(_named(tensors))


def _named(tensors: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    for name, tensor in ((published(name), tensor) for name, tensor in tensors.items()):
        if match := _FUSED.fullmatch(name):
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                yield _name(f"{match[1]}_{part}.{match[2]}"), piece
        elif name.startswith("final_layer.adaLN_modulation."):
            shift, scale = tensor.chunk(2)
            yield _name(name), torch.cat([scale, shift])
        else:
            yield _name(name), tensor


def _name(name: str) -> str:
    for old, new in _TOP:
        if name.startswith(old):
            name = new + name[len(old) :]
            break
    for pattern, spelled in _INNER:
        name = pattern.sub(spelled, name)
    return name


def _language_model(single: Single) -> Any:
    slot = QWEN_2_5_VL.named if QWEN_2_5_VL.named in single.parts else QWEN_2_5_VL.slot
    part = single.part(slot, "Qwen 2.5 VL text encoder", "qwen_2.5_vl_7b_fp8_scaled.safetensors")
    model: Any = language_model(source_of(single), QWEN_2_5_VL, single.dtype)
    refuse_gaps(part.name, model)
    return model.to(single.dtype).eval()


def _glyphs(single: Single) -> Any:
    """ByT5, which reads what is to be written in the picture."""
    part = single.part("byt5", "ByT5 text encoder", "byt5_small_glyphxl_fp16.safetensors")
    file = Checkpoint(part.path)
    prefix = file.prefix(ALONE, T5_MARKERS[0])
    if prefix is None:
        raise BadInput(f"The text encoder file '{part.name}' holds no ByT5 text encoder.")
    config = T5Config(**{**t5_config(file.below(prefix)), **file.config().get("text_encoder_2", {})})
    model: Any = T5EncoderModel(config)
    fill(model, part.name, file.tensors_below(prefix), single.dtype)
    model.tie_weights()
    refuse_gaps(part.name, model)
    return model.to(single.dtype).eval()
