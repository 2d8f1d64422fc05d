"""Files that people and features ask for by a short name: where they belong, where they come from, and their hash
(swarm-models-backends 1.8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A file on the internet. `file`: below the folder of the model set `subtype`. `sha256`: of the whole file."""

    id: str
    subtype: str
    file: str
    url: str
    sha256: str


_HUGGING_FACE = "https://huggingface.co/"
_TABLE = """
sd15 Stable-Diffusion OfficialStableDiffusion/v1-5-pruned-emaonly-fp16.safetensors
  Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/v1-5-pruned-emaonly-fp16.safetensors
  e9476a13728cd75d8279f6ec8bad753a66a1957ca375a1464dc63b37db6e3916
sd21 Stable-Diffusion OfficialStableDiffusion/v2-1_768-ema-pruned.safetensors
  stabilityai/stable-diffusion-2-1/resolve/main/v2-1_768-ema-pruned.safetensors
  dcd690123cfc64383981a31d955694f6acf2072a80537fdb612c8e58ec87a8ac
sdxl1 Stable-Diffusion OfficialStableDiffusion/sd_xl_base_1.0.safetensors
  stabilityai/stable-diffusion-xl-base-1.0/resolve/main/sd_xl_base_1.0.safetensors
  31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b
sdxl1refiner Stable-Diffusion OfficialStableDiffusion/sd_xl_refiner_1.0.safetensors
  stabilityai/stable-diffusion-xl-refiner-1.0/resolve/main/sd_xl_refiner_1.0.safetensors
  7440042bbdc8a24813002c09b6b69b64dc90fded4472613437b7f55f9b7d9c5f
sd35large Stable-Diffusion OfficialStableDiffusion/sd3.5_large_fp8_scaled.safetensors
  Comfy-Org/stable-diffusion-3.5-fp8/resolve/main/sd3.5_large_fp8_scaled.safetensors
  5ad94d6f951556b1ab6b75930fd4effbafaf3130fe9df440e7f2d05a220dd1be
fluxschnell Stable-Diffusion Flux/flux1-schnell-fp8.safetensors
  Comfy-Org/flux1-schnell/resolve/main/flux1-schnell-fp8.safetensors
  ead426278b49030e9da5df862994f25ce94ab2ee4df38b556ddddb3db093bf72
fluxdev Stable-Diffusion Flux/flux1-dev-fp8.safetensors
  Comfy-Org/flux1-dev/resolve/main/flux1-dev-fp8.safetensors
  8e91b68084b53a7fc44ed2a3756d821e355ac1a7b6fe29be760c1db532f3d88a
zimage Stable-Diffusion ZImage/SwarmUI_Z-Image-Turbo-FP8Mix.safetensors
  mcmonkey/swarm-models/resolve/main/SwarmUI_Z-Image-Turbo-FP8Mix.safetensors
  ba92d3705131c8d9b05ca9c6fefe39444d4eb02db16c30aafa9fcf5f85230e06
sdxl-vae VAE OfficialStableDiffusion/sdxl_vae.safetensors
  madebyollin/sdxl-vae-fp16-fix/resolve/main/sdxl_vae.safetensors
  235745af8d86bf4a4c1b5b4f529868b37019a10f7c0b2e79ad0abca3a22bc6e1
sd35-vae VAE OfficialStableDiffusion/sd35_vae.safetensors
  mcmonkey/swarm-vaes/resolve/main/sd35_vae.safetensors
  6ad8546282f0f74d6a1184585f1c9fe6f1509f38f284e7c4f7ed578554209859
flux-ae VAE Flux/ae.safetensors
  mcmonkey/swarm-vaes/resolve/main/flux_ae.safetensors
  afc8e28272cd15db3919bacdb6918ce9c1ed22e96cb12c4d5ed0fba823529e38
flux2-vae VAE Flux/flux2-vae.safetensors
  Comfy-Org/flux2-dev/resolve/main/split_files/vae/flux2-vae.safetensors
  d64f3a68e1cc4f9f4e29b6e0da38a0204fe9a49f2d4053f0ec1fa1ca02f9c4b5
mochi-vae VAE Mochi/mochi_vae.safetensors
  Comfy-Org/mochi_preview_repackaged/resolve/main/split_files/vae/mochi_vae.safetensors
  1be451cec94b911980406169286babc5269e7cf6a94bbbbdf45e8d3f2c961083
sana-dcae VAE Sana/sana_dcae_vae.safetensors
  Efficient-Large-Model/Sana_1600M_1024px_diffusers/resolve/38ebe9b227c30cf6b35f2b7871375e9a28c0ccce/vae/diffusion_pytorch_model.safetensors
  25a1d9ac3b3422160ce8a4b5454ed917f103bb18e30fc1b307dec66375167bb8
hunyuan-video-vae VAE HunyuanVideo/hunyuan_video_vae_bf16.safetensors
  Comfy-Org/HunyuanVideo_repackaged/resolve/main/split_files/vae/hunyuan_video_vae_bf16.safetensors
  e8f8553275406d84ccf22e7a47601650d8f98bdb8aa9ccfdd6506b57a9701aed
cosmos-vae VAE Cosmos/cosmos_cv8x8x8_1.0.safetensors
  comfyanonymous/cosmos_1.0_text_encoder_and_VAE_ComfyUI/resolve/main/vae/cosmos_cv8x8x8_1.0.safetensors
  e4478fa8629160d16262276e52bdea91ecef636b005a2a29e93a3d7764e0863b
wan21-vae VAE Wan/wan_2.1_vae.safetensors
  Comfy-Org/Wan_2.1_ComfyUI_repackaged/resolve/main/split_files/vae/wan_2.1_vae.safetensors
  2fc39d31359a4b0a64f55876d8ff7fa8d780956ae2cb13463b0223e15148976b
wan22-vae VAE Wan/wan2.2_vae.safetensors
  Comfy-Org/Wan_2.2_ComfyUI_Repackaged/resolve/main/split_files/vae/wan2.2_vae.safetensors
  e40321bd36b9709991dae2530eb4ac303dd168276980d3e9bc4b6e2b75fed156
ltxv-vae VAE LTXV/ltxv_vae.safetensors
  wsbagnsv1/ltxv-13b-0.9.7-dev-GGUF/resolve/c4296d06bab7719ce08e68bfa7a35042898e538b/ltxv-13b-0.9.7-vae-BF16.safetensors
  ee5ddcebc0b92d81b8aed9ee43445b7a4e66df1acf180678c5aa40e82f898dc5
ltx2-video-vae VAE LTX2/LTX2_video_vae.safetensors
  Kijai/LTXV2_comfy/resolve/main/VAE/LTX2_video_vae_bf16.safetensors
  8ea083ef4e7118c7fb5c78834fc6b76106bd31464b0c7912bb9dbc7557b0b91d
ltx2-audio-vae VAE LTX2/LTX2_audio_vae.safetensors
  Kijai/LTXV2_comfy/resolve/main/VAE/LTX2_audio_vae_bf16.safetensors
  f00fcace3ef1ebfa6dca9fcb4b925df47d57f826ae7df3bc8fb98f577f213204
ltx2-3-video-vae VAE LTX-2/LTX23_video_vae_bf16.safetensors
  Kijai/LTX2.3_comfy/resolve/main/vae/LTX23_video_vae_bf16.safetensors
  01ea62d09bc139f95c5dee7b5c062ad6a3e6cd8be910a1983ac02e7eb5b8ee3b
ltx2-3-audio-vae VAE LTX-2/LTX23_audio_vae_bf16.safetensors
  Kijai/LTX2.3_comfy/resolve/main/vae/LTX23_audio_vae_bf16.safetensors
  5bc10fa4adecf99dda132d916e23048cbd56797702c5fa50eb5d2079048a38c3
ltx2-5-video-vae VAE LTX-2/ltx-2.5-video-vae-conv-bf16.safetensors
  mcmonkey/swarm-vaes/resolve/main/ltx-2.5-video-vae-conv-bf16.safetensors
  685b06ee3d9b2039647698fc4ea33175112462fc374e2777312c907897dfce8d
ltx2-5-audio-vae VAE LTX-2/ltx-2.5-audio-vae-bf16.safetensors
  mcmonkey/swarm-vaes/resolve/main/ltx-2.5-audio-vae-bf16.safetensors
  c52733d37f6a7fb7949c3dc0fb468c6cb2169e4d836983a73babb9f0d54837a5
qwen-image-vae VAE QwenImage/qwen_image_vae.safetensors
  Comfy-Org/Qwen-Image_ComfyUI/resolve/main/split_files/vae/qwen_image_vae.safetensors
  a70580f0213e67967ee9c95f05bb400e8fb08307e017a924bf3441223e023d1f
mage-flow-vae VAE MageFlow/mage_flow_vae.safetensors
  microsoft/Mage-Flow/resolve/main/vae/diffusion_pytorch_model.safetensors
  34e076dc1e8a15321e1e07be5111d59cf16dd10b804b7c7e20b4de29013427e0
hunyuan-image-2_1-vae VAE HunyuanImage/hunyuan_image_2.1_vae_fp16.safetensors
  Comfy-Org/HunyuanImage_2.1_ComfyUI/resolve/main/split_files/vae/hunyuan_image_2.1_vae_fp16.safetensors
  f2ae19863609206196b5e3a86bfd94f67bd3866f5042004e3994f07e3c93b2f9
hunyuan-image-2_1-refiner-vae VAE HunyuanImage/hunyuan_image_2.1_refiner_vae_fp16.safetensors
  Comfy-Org/HunyuanImage_2.1_ComfyUI/resolve/main/split_files/vae/hunyuan_image_refiner_vae_fp16.safetensors
  e1b74e85d61b65e18cc05ca390e387d93cfadf161e737de229ebb800ea3db769
seedvr2-vae VAE SeedVR2/seedvr2_ema_vae_fp16.safetensors
  Comfy-Org/SeedVR2/resolve/main/vae/seedvr2_ema_vae_fp16.safetensors
  20678548f420d98d26f11442d3528f8b8c94e57ee046ef93dbb7633da8612ca1
hunyuan-video-1_5-vae VAE HunyuanVideo/hunyuanvideo15_vae_fp16.safetensors
  Comfy-Org/HunyuanVideo_1.5_repackaged/resolve/main/split_files/vae/hunyuanvideo15_vae_fp16.safetensors
  e7c3091949c27e2d55ae6d5df917b99dadfebbf308e5a50d0ade0d16c90297ae
minimax-h3-video-vae VAE MiniMaxH3/minimax_h3_video_vae_fp16.safetensors
  Comfy-Org/MiniMax-H3/resolve/main/vae/minimax_h3_video_vae_fp16.safetensors
  7c1f131492e7eddacaac9069a61b81bdd39de5cc96561e677c5eab1cdce5e522
minimax-h3-video-int8-vae VAE MiniMaxH3/minimax_h3_video_vae_int8_convrot.safetensors
  Kijai/MiniMax-H3-experimental/resolve/main/minimax_h3_video_vae_int8_convrot.safetensors
  9bb2d96f218c76babd85e0611b85ca8fb330a90546c01a0005e8a58a59593410
minimax-h3-audio-vae VAE MiniMaxH3/minimax_h3_audio_vae_fp32.safetensors
  Comfy-Org/MiniMax-H3/resolve/main/vae/minimax_h3_audio_vae_fp32.safetensors
  8e505d95dd1561d47abd43d4238fd40d9bb1ae9e147ed0a4cba778d76ae4db48
ace-step-15-vae VAE AceStep/ace_1.5_vae.safetensors
  Comfy-Org/ace_step_1.5_ComfyUI_files/resolve/main/split_files/vae/ace_1.5_vae.safetensors
  6de92e3a862acd287e08b024ac90f0783a8635451b728721a33ff03565bcb2bb
minimax-music-3-vae VAE MiniMaxMusic3/minimax_music3_dav.safetensors
  Comfy-Org/MiniMax-Music-3/resolve/main/vae/minimax_music3_dav.safetensors
  2a32155b769be01445fcc2a8663b910fc9e1751e18dc1c3ec528064512d9ef0c
"""


def _read(table: str) -> Mapping[str, KnownModel]:
    words = table.split()
    rows = zip(*(words[start::5] for start in range(5)), strict=True)
    found = {
        id: KnownModel(id=id, subtype=subtype, file=file, url=_HUGGING_FACE + path, sha256=sha256)
        for id, subtype, file, path, sha256 in rows
    }
    return MappingProxyType(found)


KNOWN_MODELS = _read(_TABLE)
"""By id."""

_HASHES = {known.url: known.sha256 for known in KNOWN_MODELS.values()}


def known_hash(url: str) -> str | None:
    """The SHA-256 that a download from this address must have; None for addresses nobody here knows."""
    return _HASHES.get(url.partition("?")[0])
