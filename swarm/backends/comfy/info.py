"""What a ComfyUI's `/object_info` says: nodes, model names, samplers (swarm-models-backends 5.4, 5.5). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LISTS = (
    ("CheckpointLoaderSimple", "ckpt_name", "Stable-Diffusion"),
    ("UNETLoader", "unet_name", "Stable-Diffusion"),
    ("LoraLoader", "lora_name", "LoRA"),
    ("VAELoader", "vae_name", "VAE"),
    ("CLIPLoader", "clip_name", "Clip"),
    ("ControlNetLoader", "control_net_name", "ControlNet"),
    ("CLIPVisionLoader", "clip_name", "ClipVision"),
    ("SwarmEmbedLoaderListProvider", "embed_name", "Embedding"),
)
_NEEDED = ("CheckpointLoaderSimple", "CLIPTextEncode", "KSamplerAdvanced", "VAEDecode", "EmptyLatentImage", "SaveImage")


@dataclass(frozen=True, kw_only=True)
class ComfyInfo:
    """`models`: names with `/` by set. `spelling`: our name → the server's own, by set."""

    nodes: frozenset[str]
    models: Mapping[str, frozenset[str]]
    spelling: Mapping[str, Mapping[str, str]]
    samplers: frozenset[str]
    schedulers: frozenset[str]
    bare_unets: frozenset[str]

    @property
    def missing(self) -> str | None:
        """A node without which nothing can be made."""
        return next((name for name in _NEEDED if name not in self.nodes), None)

    @property
    def features(self) -> frozenset[str]:
        """The flags that every workflow stands for; those of single steps come on top."""
        backslash = any("\\" in own for names in self.spelling.values() for own in names.values())
        return frozenset({"comfyui", "folderbackslash" if backslash else "folderslash"})


def info_of(answer: Mapping[str, Any]) -> ComfyInfo:
    """Unknown or odd nodes are left alone."""
    spelling: dict[str, dict[str, str]] = {}
    for node, input, subtype in _LISTS:
        for own in options(answer, node, input):
            spelling.setdefault(subtype, {})[own.replace("\\", "/")] = own
    return ComfyInfo(
        nodes=frozenset(answer),
        models={subtype: frozenset(names) for subtype, names in spelling.items()},
        spelling=spelling,
        samplers=frozenset(options(answer, "KSamplerAdvanced", "sampler_name")),
        schedulers=frozenset(options(answer, "KSamplerAdvanced", "scheduler")),
        bare_unets=frozenset(own.replace("\\", "/") for own in options(answer, "UNETLoader", "unet_name")),
    )


def options(answer: Mapping[str, Any], node: str, input: str) -> list[str]:
    """The choices of a required input: `[[...], {...}]`, or in newer versions `["COMBO", {"options": [...]}]`."""
    try:
        declared = answer[node]["input"]["required"][input]
        found = declared[1]["options"] if declared[0] == "COMBO" else declared[0]
    except (KeyError, IndexError, TypeError):
        return []
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
