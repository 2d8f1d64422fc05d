"""The files that go beside a model which is only a denoiser: what they are called, and which folder they lie in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Companion:
    """A text encoder or VAE. `what`: for sentences. `subtype`: its model type, `folder`: below the models folder.

    `names`: the usual file names without suffix, the best first. `hints`: parts of a name that tell it from others.
    `inside`: what the names of its tensors begin with in a file that holds everything.
    """

    what: str
    subtype: str
    folder: str
    names: tuple[str, ...]
    hints: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The name to ask for."""
        return f"{self.names[0]}.safetensors"


def _text(what: str, names: tuple[str, ...], hints: tuple[str, ...], inside: tuple[str, ...]) -> Companion:
    return Companion(what=what, subtype="Clip", folder="text_encoders", names=names, hints=hints, inside=inside)


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
}
"""By slot."""
VAES = {
    "flux1": _vae("VAE", "ae", "flux_ae", "flux-ae"),
    "sd3": _vae("VAE", "sd35_vae", "sd3_vae"),
    "sdxl": _vae("VAE", "sdxl_vae", "sdxl-vae-fp16-fix", "sdxl.vae"),
    "": _vae("VAE", "vae-ft-mse-840000-ema-pruned", "vae-ft-mse-840000", "sd-vae-ft-mse"),
}
"""By VAE family of the compat class; "" is Stable Diffusion 1 and 2."""
