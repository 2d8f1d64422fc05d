"""Flux.2 in small: one modulation shared by all blocks, no biases, 32 latent channels in patches of two by two.

`DEV` is told its guidance and reads Mistral's layers 10, 20 and 30; `KLEIN` (its tensors say nothing of the size, so it
stands for both Klein models) reads Qwen 3's layers 9, 18 and 27. Dev's tokenizer stands alone where published folders
have a processor around it, which cannot be built without torchvision.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from diffusers import Flux2KleinPipeline, Flux2Pipeline, Flux2Transformer2DModel
from diffusers.loaders.single_file_utils import convert_flux2_transformer_checkpoint_to_diffusers

from swarm.engine.words.tokenizer import qwen_tokenizer, tekken_tokenizer
from tests.support.tiny import autoencoders, encoders
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.flux import scheduler
from tests.support.tiny.weights import Shapes, Tensors, below, filled, fresh, linear, write
from tests.support.tiny.z_image import TEMPLATE

WIDTH, HEAD, DOUBLE, SINGLE_BLOCKS = 64, 32, 1, 2
CONTEXT = 3 * encoders.LANGUAGE
KLEIN_LAYERS = 28
THOUGHTLESS = "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% for part in message.content %}{% if part.type == 'text' %}"
    "{% if message.role == 'system' %}[SYSTEM_PROMPT]{{ part.text }}[/SYSTEM_PROMPT]"
    "{% else %}[INST]{{ part.text }}[/INST]{% endif %}{% endif %}{% endfor %}{% endfor %}"
)


def shapes(*, guided: bool) -> Shapes:
    flat = partial(linear, bias=False)
    found = flat("img_in", WIDTH, 128) | flat("txt_in", WIDTH, CONTEXT)
    for name in ("time_in", *(("guidance_in",) if guided else ())):
        found |= flat(f"{name}.in_layer", WIDTH, 256) | flat(f"{name}.out_layer", WIDTH, WIDTH)
    for name, parts in {"double_stream_modulation_img": 6, "double_stream_modulation_txt": 6}.items():
        found |= flat(f"{name}.lin", parts * WIDTH, WIDTH)
    found |= flat("single_stream_modulation.lin", 3 * WIDTH, WIDTH)
    for block in range(DOUBLE):
        for side in ("img", "txt"):
            at = f"double_blocks.{block}.{side}"
            found |= flat(f"{at}_attn.qkv", 3 * WIDTH, WIDTH) | flat(f"{at}_attn.proj", WIDTH, WIDTH)
            found |= {f"{at}_attn.norm.{kind}_norm.scale": (HEAD,) for kind in ("query", "key")}
            found |= flat(f"{at}_mlp.0", 6 * WIDTH, WIDTH) | flat(f"{at}_mlp.2", WIDTH, 3 * WIDTH)
    for block in range(SINGLE_BLOCKS):
        at = f"single_blocks.{block}"
        found |= flat(f"{at}.linear1", 9 * WIDTH, WIDTH) | flat(f"{at}.linear2", WIDTH, 4 * WIDTH)
        found |= {f"{at}.norm.{kind}_norm.scale": (HEAD,) for kind in ("query", "key")}
    return found | flat("final_layer.adaLN_modulation.1", 2 * WIDTH, WIDTH) | flat("final_layer.linear", 128, WIDTH)


def original(*, guided: bool) -> Tensors:
    return fresh(shapes(guided=guided), 71)


def denoiser(*, guided: bool) -> Any:
    model = Flux2Transformer2DModel(
        num_layers=DOUBLE,
        num_single_layers=SINGLE_BLOCKS,
        attention_head_dim=HEAD,
        num_attention_heads=WIDTH // HEAD,
        joint_attention_dim=CONTEXT,
        axes_dims_rope=(8, 8, 8, 8),
        guidance_embeds=guided,
    )
    return filled(model, convert_flux2_transformer_checkpoint_to_diffusers(original(guided=guided)))


@cache
def mistral_tokenizer() -> Any:
    """One for all: it takes seconds to make."""
    tokenizer = tekken_tokenizer()
    tokenizer.chat_template = MISTRAL_TEMPLATE
    return tokenizer


def dev_pipeline(model: Any) -> Any:
    return Flux2Pipeline(
        transformer=model,
        vae=autoencoders.flux2_vae(),
        text_encoder=encoders.mistral(),
        tokenizer=mistral_tokenizer(),
        scheduler=scheduler(),
    )


def klein_pipeline(model: Any) -> Any:
    tokenizer = qwen_tokenizer()
    tokenizer.chat_template = TEMPLATE.replace("assistant\n", "assistant\n" + THOUGHTLESS)
    return Flux2KleinPipeline(
        transformer=model,
        vae=autoencoders.flux2_vae(),
        text_encoder=encoders.qwen3(KLEIN_LAYERS),
        tokenizer=tokenizer,
        scheduler=scheduler(),
        is_distilled=True,
    )


def vae_file(folder: Path) -> Path:
    return write(folder / "flux2-vae.safetensors", autoencoders.original_flux2(autoencoders.flux2_vae()))


def mistral_file(folder: Path) -> Path:
    return encoders.mistral_file(folder / "mistral_3_small_flux2.safetensors", encoders.mistral())


def qwen3_file(folder: Path) -> Path:
    return encoders.language_file(folder / "qwen_3_4b_klein.safetensors", encoders.qwen3(KLEIN_LAYERS))


def extra(home: str, language: Callable[[], Any]) -> Tensors:
    """As packed with everything: the language model below `home`, and the VAE."""
    found = below("vae.", autoencoders.original_flux2(autoencoders.flux2_vae()))
    return found | below(f"text_encoders.{home}.transformer.", encoders.language_tensors(language()))


def _family(
    id: str, pipeline: Any, files: dict[str, Any], packed: tuple[str, Callable[[], Any]], *, guided: bool
) -> TinyFamily:
    return TinyFamily(
        id=id,
        denoiser=partial(denoiser, guided=guided),
        original=partial(original, guided=guided),
        convert=convert_flux2_transformer_checkpoint_to_diffusers,
        pipeline=pipeline,
        files={"vae": vae_file, **files},
        extra=partial(extra, *packed),
    )


DEV = _family("flux.2-dev", dev_pipeline, {"mistral": mistral_file}, ("mistral3_24b", encoders.mistral), guided=True)
KLEIN = _family(
    "flux.2-klein-4b",
    klein_pipeline,
    {"qwen3": qwen3_file},
    ("qwen3_4b", partial(encoders.qwen3, KLEIN_LAYERS)),
    guided=False,
)
FAMILIES = (DEV, KLEIN)
make = DEV.make
