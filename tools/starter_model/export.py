"""From the training folder to the files that ship: the single-file checkpoint and the diffusers folder.

The single file is written as any other Stable Diffusion 1 checkpoint would be. It also carries the networks' sizes in
its header, under `swarm.config`, because they are not those of the original release.
"""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextModel

from swarm.engine.words.tokenizer import clip_tokenizer
from tools.starter_model.architecture import SCHEDULER_CONFIG, UNET_CONFIG, VAE_CONFIG, make_text_encoder
from tools.starter_model.lora import METADATA as LORA_METADATA
from tools.starter_model.lora import kohya_weights
from tools.starter_model.original_keys import original_text_encoder, original_unet, original_vae
from tools.starter_model.samples import decode, encode_prompts, sample, seeded_noise
from tools.starter_model.stage_unet import trained_model
from tools.starter_model.stage_vae import trained_vae
from tools.starter_model.words import Words

NAME = "postcards"
PREVIEW_PROMPT = "a red house and a pine tree in the mountains at sunset, under the sun"
AUTHOR = "The Swarm developers"
DESCRIPTION = (
    "The starter model: flat illustrations of a small world. It knows times of day, weather, six landscapes and a "
    "dozen things in eight colours, and nothing else. Trained from nothing on pictures drawn by a program."
)
USAGE = (
    "Say what, where and when: 'a red house on a meadow at night, under a full moon'. Things: house, boat, balloon, "
    "car, lighthouse, windmill, pine, tree, palm, cat, dog. Places: meadow, hills, desert, mountains, sea, beach. "
    "256x256, 20 steps, guidance 5."
)


@dataclass(frozen=True, kw_only=True)
class Networks:
    """The finished networks, with CLIP's full vocabulary."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text: CLIPTextModel


def finished(folder: Path) -> Networks:
    """The averaged weights of the latest checkpoints."""
    words = Words.read(folder / "words.txt")
    model = trained_model(folder, words)
    weights = dict(model.text.state_dict())
    table = next(name for name in weights if name.endswith("token_embedding.weight"))
    weights[table] = words.full_table(weights[table])
    text = make_text_encoder()
    text.load_state_dict(weights)
    return Networks(unet=model.unet, vae=trained_vae(folder), text=text.eval())


def export(folder: Path, assets: Path) -> None:
    """Write everything that ships. Each file appears whole or not at all."""
    assets.mkdir(parents=True, exist_ok=True)
    networks = finished(folder)
    preview = draw(networks, [PREVIEW_PROMPT], [7])[0]
    preview.resize((512, 512), Image.Resampling.LANCZOS).save(assets / f"{NAME}.jpg", quality=88)
    write_atomically(assets / f"{NAME}.safetensors", single_file_weights(networks), single_file_metadata(preview))
    write_diffusers_folder(assets / "diffusers")
    if (folder / "lora.pt").exists():
        write_atomically(assets / f"{NAME}-pencil.safetensors", kohya_weights(folder), LORA_METADATA)


def single_file_weights(networks: Networks) -> dict[str, Tensor]:
    """Half-precision weights under their original names."""
    weights = {
        **original_unet(networks.unet.state_dict(), UNET_CONFIG["layers_per_block"]),
        **original_vae(networks.vae.state_dict(), len(VAE_CONFIG["block_out_channels"])),
        **original_text_encoder(networks.text.state_dict()),
    }
    return {name: value.half().contiguous() for name, value in weights.items()}


def single_file_metadata(preview: Image.Image) -> dict[str, str]:
    """The model's own account of itself (https://github.com/Stability-AI/ModelSpec)."""
    return {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.implementation": "https://github.com/huggingface/diffusers",
        "modelspec.title": "Postcards",
        "modelspec.author": AUTHOR,
        "modelspec.description": DESCRIPTION,
        "modelspec.usage_hint": USAGE,
        "modelspec.trigger_phrase": "",
        "modelspec.license": "MIT",
        "modelspec.resolution": "256x256",
        "modelspec.prediction_type": "epsilon",
        "modelspec.tags": "illustration, flat, landscape, starter",
        "modelspec.thumbnail": data_url(preview),
        "swarm.config": json.dumps(component_configs()),
    }


def component_configs() -> dict[str, dict[str, Any]]:
    """The configuration of each part, as its diffusers or transformers class takes it."""
    text = make_text_encoder().config.to_dict()
    kept = {name: text[name] for name in sorted(text) if name in _TEXT_KEYS}
    return {"unet": UNET_CONFIG, "vae": VAE_CONFIG, "text_encoder": kept, "scheduler": SCHEDULER_CONFIG}


_TEXT_KEYS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "projection_dim",
    "max_position_embeddings", "hidden_act", "bos_token_id", "eos_token_id", "pad_token_id", "layer_norm_eps",
)  # fmt: skip

_MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def write_diffusers_folder(folder: Path) -> None:
    """Configurations and tokenizer: what `from_single_file(…, config=folder)` needs. The weights stay in the file."""
    configs = component_configs()
    texts = {
        "model_index.json": _MODEL_INDEX,
        "unet/config.json": {"_class_name": "UNet2DConditionModel", **configs["unet"]},
        "vae/config.json": {"_class_name": "AutoencoderKL", **configs["vae"]},
        "text_encoder/config.json": {
            "architectures": ["CLIPTextModel"], "model_type": "clip_text_model", **configs["text_encoder"],
        },
        "scheduler/scheduler_config.json": {
            "_class_name": "PNDMScheduler", "skip_prk_steps": True, **configs["scheduler"],
        },
    }  # fmt: skip
    for name, content in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n")
    clip_tokenizer().save_pretrained(str(folder / "tokenizer"))


def write_full_pipeline(folder: Path, networks: Networks) -> None:
    """The diffusers folder with its weights, for those who want to train on; it is not shipped."""
    write_diffusers_folder(folder)
    for name, network in (("unet", networks.unet), ("vae", networks.vae), ("text_encoder", networks.text)):
        network.save_pretrained(str(folder / name))


@torch.no_grad()
def draw(networks: Networks, prompts: list[str], seeds: list[int]) -> list[Image.Image]:
    """A picture per prompt and seed: 20 steps, guidance 5."""
    tokenizer = clip_tokenizer()
    told, silence = (encode_prompts(networks.text, tokenizer, texts) for texts in (prompts, [""] * len(prompts)))
    latents = sample(lambda x, t, e: networks.unet(x, t, e).sample, told, silence, seeded_noise(seeds))
    return [Image.fromarray(picture) for picture in decode(networks.vae, latents)]


def write_atomically(path: Path, weights: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """A safetensors file that replaces its predecessor in one step."""
    partial = path.with_name(path.name + ".partial")
    save_file(weights, str(partial), metadata)
    partial.chmod(0o644)
    partial.replace(path)


def data_url(picture: Image.Image) -> str:
    """A small JPEG to carry in a header."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
