"""Which class is meant when a file fits several: the order in which SwarmUI asks (swarm-models-backends 2.4).

The rules are made so that each header fits one class; files put together from several may still fit more.
"""

from __future__ import annotations

_ORDER = """
stable-diffusion-v1 stable-diffusion-v1/lora stable-diffusion-v1/controlnet stable-diffusion-v1/textual-inversion
stable-diffusion-v2-512 stable-diffusion-v2-768-v stable-diffusion-v2-depth stable-diffusion-v2-unclip
stable-diffusion-v2-768-v/textual-inversion stable-diffusion-v2-turbo stable-diffusion-xl-v1-base
stable-diffusion-xl-v0_9-base stable-diffusion-xl-v0_9-refiner stable-diffusion-xl-v1-base/lora
stable-diffusion-xl-v1-base/controlnet stable-diffusion-xl-v1-base/textual-inversion
stable-video-diffusion-img2vid-v0_9 genmo-mochi-1 genmo-mochi-1/vae stable-cascade-v1-stage-a/vae
stable-cascade-v1-stage-b stable-cascade-v1-stage-c stable-diffusion-v3-medium stable-diffusion-v3.5-large
stable-diffusion-v3-medium/lora stable-diffusion-v3.5-large/lora stable-diffusion-v3-medium/controlnet
stable-diffusion-v3.5-large/controlnet Flux.1-schnell Flux.1-dev Flux.1-dev/lora Flux.1-dev/controlnet flux.2-dev
flux.2-dev/lora flux.2-klein-4b flux.2-klein-4b/lora flux.2-klein-9b flux.2-klein-9b/lora lens ideogram-4
ideogram-4/lora krea-2 krea-2/lora wan-2_1-text2video-1_3b wan-2_1-image2video-1_3b wan-2_1-text2video-1_3b/lora
wan-2_1-text2video-14b wan-2_1-text2video-14b/lora wan-2_1-image2video-14b wan-2_1-flf2v-14b wan-2_1-vace-14b
wan-2_1-vace-1_3b wan-2_2-ti2v-5b wan-2_2-image2video-14b hunyuan-video hunyuan-video-skyreels-i2v hunyuan-video-i2v
hunyuan-video/vae hunyuan-video/lora nvidia-cosmos-1-7b-text2world nvidia-cosmos-1-14b-text2world
nvidia-cosmos-1-7b-video2world nvidia-cosmos-1-14b-video2world nvidia-cosmos-1/vae nvidia-cosmos-predict2-t2i-2b
nvidia-cosmos-predict2-t2i-14b z-image z-image/lora z-image/control-diffpatch zeta-chroma qwen-image-2.1
qwen-image-2.1/lora qwen-image-2.1/vae qwen-image qwen-image-edit-plus qwen-image/controlnet
qwen-image/control-diffpatch qwen-image/lora ernie-image mage-flow kandinsky5-image-lite kandinsky5-video-lite
kandinsky5-video-pro lightricks-ltx-video lightricks-ltx-video/vae lightricks-ltx-video-2 lightricks-ltx-video-2/lora
lightricks-ltx-video-2-3 lightricks-ltx-video-2-3/vae lightricks-ltx-video-2-5 lightricks-ltx-video-2-5/vae
minimax-h3 minimax-h3/lora minimax-h3/embedding minimax-h3/vae minimax-h3/audio-vae chroma chroma-radiance pid
pixeldit seedvr2 seedvr2/vae alt_diffusion_v1_512_placeholder nvidia-sana-1600 nvidia-sana-1600/vae lumina-2
hidream-i1 hidream-i1/lora hidream-o1 sensenova-u1.5 hidream-o1/lora omnigen-2 auraflow-v1 anima anima/lora
anima/controlnet hunyuan-image-2_1 hunyuan-image-2_1-refiner hunyuan-video-1_5 hunyuan-video-1_5/lora ovis
longcat-image boogu sam3 ace-step-1_5 minimax-music-3 yue-2 stable-diffusion-xl-v1-base/control-lora
"""

RANKS: dict[str, int] = {id: rank for rank, id in enumerate(_ORDER.split())}


def rank(id: str) -> int:
    """Lower is asked earlier; classes that SwarmUI does not detect come last."""
    return RANKS.get(id, len(RANKS))
