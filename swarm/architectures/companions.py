"""The files that go beside a model which is only a denoiser: what they are called, and which folder they lie in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Companion:
    """A text encoder or VAE. `what`: for sentences. `subtype`: its model type, `folder`: below the models folder.

    `names`: the usual file names without suffix, the best first. `hints`: parts of a name that tell it from others.
    `inside`: what the names of its tensors begin with in a file that holds everything. `slot`: of the job's parts,
    where it is not the name that families have for it.
    """

    what: str
    subtype: str
    folder: str
    names: tuple[str, ...]
    hints: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    slot: str = ""

    @property
    def file(self) -> str:
        """The name to ask for."""
        return f"{self.names[0]}.safetensors"


def _text(
    what: str, names: tuple[str, ...], hints: tuple[str, ...], inside: tuple[str, ...], slot: str = ""
) -> Companion:
    return Companion(
        what=what, subtype="Clip", folder="text_encoders", names=names, hints=hints, inside=inside, slot=slot
    )


def _vae(what: str, *names: str) -> Companion:
    return Companion(what=what, subtype="VAE", folder="VAE", names=names, inside=("first_stage_model.", "vae."))


TEXT_ENCODERS = {
    "clip_l": _text(
        "CLIP-L text encoder",
        ("clip_l", "clip_l_fp16", "ViT-L-14-TEXT-detail-improved-hiT-GmP-TE-only-HF"),
        ("clip_l", "clip-l"),
        ("text_encoders.clip_l.", "cond_stage_model.transformer.", "conditioner.embedders.0.transformer."),
    ),
    "clip_g": _text(
        "CLIP-G text encoder",
        ("clip_g", "clip_g_fp16"),
        ("clip_g", "clip-g"),
        ("text_encoders.clip_g.", "conditioner.embedders.1.", "conditioner.embedders.0.model."),
    ),
    "clip_h": _text(
        "CLIP-H text encoder",
        ("clip_h", "clip_h_fp16"),
        ("clip_h", "clip-h"),
        ("cond_stage_model.model.", "conditioner.embedders.0.model."),
    ),
    "t5xxl": _text(
        "T5-XXL text encoder",
        ("t5xxl_enconly", "t5xxl_fp16", "t5xxl_fp8_e4m3fn_scaled", "t5xxl_fp8_e4m3fn", "t5-v1_1-xxl-encoder-Q8_0"),
        ("t5xxl", "t5-v1_1-xxl", "t5_xxl"),
        ("text_encoders.t5xxl.",),
    ),
    "qwen2.5vl": _text(
        "Qwen 2.5 VL text encoder",
        ("qwen_2.5_vl_7b", "qwen_2.5_vl_7b_fp8_scaled", "Qwen2.5-VL-7B-Instruct-Q8_0"),
        ("qwen_2.5_vl", "qwen2.5-vl", "qwen2.5_vl", "qwen25vl"),
        ("text_encoders.qwen25_7b.",),
    ),
    "qwen3": _text(
        "Qwen 3 4B text encoder",
        ("qwen_3_4b", "qwen_3_4b_fp8_mixed", "qwen3_4b", "Qwen3-4B-Q8_0"),
        ("qwen_3_4b", "qwen3_4b", "qwen3-4b"),
        ("text_encoders.qwen3_4b.",),
    ),
    "qwen3_8b": _text(
        "Qwen 3 8B text encoder",
        ("qwen_3_8b", "qwen_3_8b_fp8mixed", "qwen3_8b", "Qwen3-8B-Q8_0"),
        ("qwen_3_8b", "qwen3_8b", "qwen3-8b"),
        ("text_encoders.qwen3_8b.",),
        slot="qwen3",
    ),
    "gemma2": _text(
        "Gemma 2 2B text encoder",
        ("gemma_2_2b_fp16", "gemma_2_2b", "gemma_2_2b_bf16", "gemma-2-2b-Q8_0"),
        ("gemma_2_2b", "gemma-2-2b", "gemma2_2b"),
        ("text_encoders.gemma2_2b.",),
    ),
    "pile_t5": _text(
        "Pile-T5 XL text encoder",
        ("pile_t5xl_fp16", "pile_t5xl", "pile_t5_xl"),
        ("pile_t5xl", "pile-t5-xl", "pile_t5"),
        ("text_encoders.pile_t5xl.",),
    ),
    "mistral": _text(
        "Mistral 3 text encoder",
        ("mistral_3_small_flux2_bf16", "mistral_3_small_flux2_fp8", "mistral_3_small_flux2"),
        ("mistral_3_small", "mistral-small-3"),
        ("text_encoders.mistral3_24b.",),
    ),
}
"""By the names that families have for them."""
VAES = {
    "flux1": _vae("VAE", "ae", "flux_ae", "flux-ae"),
    "sd3": _vae("VAE", "sd35_vae", "sd3_vae"),
    "flux2": _vae("VAE", "flux2-vae", "flux2_vae", "full_encoder_small_decoder"),
    "qwenimage": _vae("VAE", "qwen_image_vae", "qwen-image-vae"),
    "sdxl": _vae("VAE", "sdxl_vae", "sdxl-vae-fp16-fix", "sdxl.vae"),
    "nvidia-sana-1600": _vae("VAE", "sana_dcae_vae", "sana_dc_ae", "dc-ae-f32c32-sana-1.0"),
    "": _vae("VAE", "vae-ft-mse-840000-ema-pruned", "vae-ft-mse-840000", "sd-vae-ft-mse"),
}
"""By VAE family of the compat class, or by its id where it has none; "" is Stable Diffusion 1 and 2."""
