"""Further picture models of many makers, recognised and listed: Krea 2, Ideogram 4, Lens, Ernie, Anima, Ovis …"""

from __future__ import annotations

from dataclasses import replace

from swarm.architectures.architecture import CompatClass
from swarm.architectures.families.flux_1 import COMPAT as FLUX_COMPAT
from swarm.architectures.families.listed import listed
from swarm.architectures.families.lumina_2 import Z_IMAGE_COMPAT, is_lumina_in_diffusers_names, is_z_image, is_zeta
from swarm.architectures.families.qwen_image import COMPAT as QWEN_COMPAT
from swarm.architectures.families.qwen_image import is_qwen
from swarm.architectures.families.transformers import HIDREAM, PIXART_SIGMA, SANA
from swarm.architectures.rules import Rule, with_any, with_denoiser, with_keys, with_lora_for, with_size


def _compat(id: str, code: str, *, vae: str | None = None, text: bool = False) -> CompatClass:
    return CompatClass(id=id, short_code=code, loras_target_text_enc=text, vae_family=vae)


LENS_COMPAT = _compat("lens", "Lens", vae="flux2")
IDEOGRAM_COMPAT = _compat("ideogram-4", "Ideo4", vae="flux2")
KREA_COMPAT = _compat("krea-2", "Krea2", vae="qwenimage", text=True)
ERNIE_COMPAT = _compat("ernie-image", "Ernie", vae="flux2")
ANIMA_COMPAT = _compat("anima", "Anima", vae="qwenimage", text=True)
HIDREAM_O1_COMPAT = _compat("hidream-o1", "HiDrO1")

LENS = listed(
    "lens",
    "Lens",
    LENS_COMPAT,
    1440,
    detect=with_keys("transformer_blocks.0.attn.norm_added_q.weight", "transformer_blocks.0.img_mlp.w1.weight"),
)
IDEOGRAM_4 = listed(
    "ideogram-4",
    "Ideogram 4",
    IDEOGRAM_COMPAT,
    1024,
    detect=with_keys(
        "embed_image_indicator.weight",
        "llm_cond_proj.weight",
        "t_embedding.mlp_in.weight",
        "layers.0.attention.qkv.weight",
    ),
)
IDEOGRAM_4_LORA = listed(
    "ideogram-4/lora",
    "Ideogram 4 LoRA",
    IDEOGRAM_COMPAT,
    1024,
    detect=with_lora_for(
        "layers.0.adaln_modulation", "layers.0.attention.o", "layers.0.feed_forward.w3", "layers.33.attention.qkv"
    ),
)
KREA_2 = listed(
    "krea-2",
    "Krea 2",
    KREA_COMPAT,
    1024,
    detect=with_denoiser("txtfusion.projector.weight", "blocks.0.attn.gate.weight", "blocks.0.mod.lin"),
)
KREA_2_LORA = listed(
    "krea-2/lora",
    "Krea 2 LoRA",
    KREA_COMPAT,
    1024,
    detect=with_lora_for("blocks.0.attn.gate", "blocks.0.mlp.gate")
    | with_lora_for("text_fusion.layerwise_blocks.0.attn.to_gate", "img_in", "final_layer.linear")
    | with_lora_for(
        "lora_unet_txtfusion_refiner_blocks_1_mlp_up", "lora_unet_last_linear", "lora_unet_blocks_27_mlp_gate"
    )
    | with_any("diffusion_model.txtfusion.projector.diff", "diffusion_model.txtfusion.refiner_blocks.0.attn.wo.diff"),
)
MOCHI = listed(
    "genmo-mochi-1",
    "Genmo Mochi 1",
    CompatClass(id="genmo-mochi-1", short_code="Mochi", is_text2video=True),
    848,
    480,
    detect=with_denoiser("blocks.0.attn.k_norm_x.weight"),
)
MOCHI_VAE = listed(
    "genmo-mochi-1/vae",
    "Genmo Mochi 1 VAE",
    MOCHI.compat,
    848,
    480,
    detect=with_any(
        "encoder.layers.4.layers.1.attn_block.attn.qkv.weight",
        "layers.4.layers.1.attn_block.attn.qkv.weight",
        "blocks.2.blocks.3.stack.5.weight",
        "decoder.blocks.2.blocks.3.stack.5.weight",
    ),
)
Z_IMAGE_DIFFPATCH = listed(
    "z-image/control-diffpatch",
    "Z-Image ControlNet (DiffPatch)",
    Z_IMAGE_COMPAT,
    1024,
    detect=with_keys(
        "control_layers.0.adaLN_modulation.0.weight",
        "control_noise_refiner.0.adaLN_modulation.0.weight",
        "control_layers.0.feed_forward.w3.weight",
    ),
)
ZETA_CHROMA = listed(
    "zeta-chroma", "Zeta Chroma", _compat("zeta-chroma", "ZChr"), 1024, detect=Rule(is_z_image) & is_zeta
)
QWEN_DIFFPATCH = listed(
    "qwen-image/control-diffpatch",
    "Qwen Image ControlNet (DiffPatch)",
    QWEN_COMPAT,
    1328,
    detect=with_keys(
        "controlnet_blocks.0.input_proj.weight",
        "controlnet_blocks.0.x_rms.weight",
        "controlnet_blocks.59.input_proj.bias",
        "img_in.weight",
    ),
)
ERNIE = listed(
    "ernie-image",
    "Ernie Image",
    ERNIE_COMPAT,
    1024,
    detect=with_denoiser("layers.0.mlp.linear_fc2.weight", "x_embedder.proj.weight", "layers.0.adaLN_sa_ln.weight"),
)
ERNIE_LORA = listed("ernie-image/lora", "Ernie Image LoRA", ERNIE_COMPAT, 1024)
_MAGE_TEXT = ("txt_norm.weight", "diffusion_model.txt_norm.weight", "model.diffusion_model.txt_norm.weight")
MAGE_FLOW = listed(
    "mage-flow",
    "Mage Flow",
    _compat("mage-flow", "Mage", vae="flux2"),
    1024,
    detect=with_size(2560, 0, *_MAGE_TEXT)
    & is_qwen
    & ~with_any("controlnet_x_embedder.weight", "controlnet_blocks.0.bias", "__index_timestep_zero__"),
)
_PID = with_keys(
    "net.lq_proj.latent_proj.0.weight",
    "net.pixel_blocks.0.attn.q_norm.weight",
    "net.pixel_blocks.0.compress_to_attn.weight",
)
PID = listed("pid", "PiD", _compat("pid", "PiD"), 1024, detect=_PID)
PIXELDIT = listed(
    "pixeldit",
    "PixelDiT",
    _compat("pixeldit", "PixDiT"),
    1024,
    detect=with_keys(
        "core.pixel_embedder.proj.weight",
        "core.pixel_blocks.0.attn.q_norm.weight",
        "core.pixel_blocks.0.compress_to_attn.weight",
    )
    & ~_PID,
)
SEEDVR2 = listed(
    "seedvr2",
    "SeedVR2",
    _compat("seedvr2", "SeedVR2"),
    1024,
    detect=with_denoiser("blocks.31.mlp.all.proj_in_gate.weight")
    | with_denoiser("blocks.35.mlp.all.proj_in_gate.weight")
    | with_denoiser("blocks.35.mlp.vid.proj_out.weight"),
)
SEEDVR2_VAE = listed(
    "seedvr2/vae",
    "SeedVR2 VAE",
    SEEDVR2.compat,
    1024,
    detect=with_keys("decoder.up_blocks.2.upsamplers.0.upscale_conv.weight"),
)
SANA_VAE = listed(
    "nvidia-sana-1600/vae",
    "NVIDIA Sana 1600M DC-AE VAE",
    SANA.compat,
    1024,
    detect=with_keys("decoder.stages.0.0.main.conv.bias"),
)
HIDREAM_EDIT = listed("hidream-i1-edit", "HiDream i1 Edit", HIDREAM.compat, 768)
HIDREAM_LORA = listed(
    "hidream-i1/lora",
    "HiDream i1 LoRA",
    HIDREAM.compat,
    1024,
    detect=with_denoiser("double_stream_blocks.0.block.ff_i.shared_experts.w1.lora_A.weight"),
)
HIDREAM_O1 = listed(
    "hidream-o1",
    "HiDream O1 Image",
    HIDREAM_O1_COMPAT,
    2048,
    detect=with_keys("model.t_embedder1.mlp.0.weight", "model.t_embedder1.mlp.0.bias"),
)
HIDREAM_O1_LORA = listed(
    "hidream-o1/lora",
    "HiDream O1 LoRA",
    HIDREAM_O1_COMPAT,
    2048,
    detect=with_lora_for("final_layer2.linear", "language_model.layers.0.self_attn.q_proj"),
)
_INSTRUCT = "double_stream_layers.0.img_instruct_attn.processor."
_BOOGU = with_denoiser(_INSTRUCT + "img_to_q.weight", _INSTRUCT + "instruct_to_q.weight")
OMNIGEN_2 = listed(
    "omnigen-2",
    "OmniGen 2",
    _compat("omnigen-2", "Omni2", vae="flux1", text=True),
    1024,
    detect=with_keys("time_caption_embed.timestep_embedder.linear_2.weight", "context_refiner.0.attn.norm_k.weight")
    & ~_BOOGU
    & ~Rule(is_lumina_in_diffusers_names),
)
BOOGU = listed("boogu", "Boogu", _compat("boogu", "Boogu", vae="flux1"), 1024, detect=_BOOGU)
ANIMA = listed(
    "anima",
    "Anima",
    ANIMA_COMPAT,
    1024,
    detect=with_denoiser(
        "t_embedder.1.linear_2.weight",
        "llm_adapter.blocks.0.self_attn.v_proj.weight",
        "blocks.27.adaln_modulation_cross_attn.2.weight",
    ),
)
ANIMA_LORA = listed(
    "anima/lora",
    "Anima LoRA",
    ANIMA_COMPAT,
    1024,
    detect=with_lora_for(
        "llm_adapter.blocks.5.self_attn.v_proj",
        "blocks.27.self_attn.v_proj",
        "blocks.27.adaln_modulation_cross_attn.1",
    )
    | with_lora_for("blocks.27.self_attn.v_proj", "blocks.27.cross_attn.output_proj", "blocks.27.mlp.layer2"),
)
_LLLITE = "lllite_dit_blocks_0_self_attn_q_proj."
ANIMA_CONTROLNET = listed(
    "anima/controlnet",
    "Anima ControlNet",
    ANIMA_COMPAT,
    1024,
    detect=with_keys(
        _LLLITE + "depth_embed",
        _LLLITE + "cond_to_film.weight",
        "lllite_dit_blocks_27_self_attn_q_proj.up.weight",
    ),
)
OVIS = listed(
    "ovis",
    "Ovis",
    _compat("ovis", "Ovis", vae="flux1"),
    1024,
    detect=with_denoiser("double_blocks.0.img_mlp.down_proj.weight"),
)
LONGCAT_IMAGE = listed(
    "longcat-image",
    "Longcat Image",
    _compat("longcat-image", "LCat", vae="flux1"),
    1024,
    detect=with_denoiser(
        "double_blocks.0.txt_attn.norm.query_norm.weight",
        "time_in.out_layer.weight",
        "final_layer.adaLN_modulation.1.weight",
        "double_blocks.0.txt_mod.lin.weight",
    ),
)
PIXART_SIGMA_2K = replace(
    PIXART_SIGMA,
    id="pixart-ms-sigma-xl-2-2k",
    name="PixArtMS Sigma XL 2 (2K)",
    standard_width=2048,
    standard_height=2048,
    detect=None,
)
FLUX_ALIMAMA = listed("flux.1-dev/controlnet-alimamainpaint", "Flux.1 ControlNet - AliMama Inpaint", FLUX_COMPAT, 1024)
