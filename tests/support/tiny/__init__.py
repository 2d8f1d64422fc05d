"""Tiny models with random weights in the layouts people have on disk. Built in under a second, always the same.

One file per family; each has `FAMILIES`, a tuple of `TinyFamily` (family.py), and `make`, that of the first:

    stable_diffusion_2  V_MODEL          sdxl_refiner  REFINER       inpainting  SD1, SDXL
    stable_diffusion_3  MEDIUM LARGE MEDIUM_35 (and make_without_text(folder, family): denoiser and VAE in one file)
    flux                DEV SCHNELL FILL KONTEXT                     chroma      CHROMA
    flux_2              DEV KLEIN        qwen_image    IMAGE EDIT EDIT_PLUS
    z_image             Z_IMAGE          lumina_2      LUMINA        pixart      SIGMA
    sana                SANA             auraflow      AURAFLOW

What a family does:

    path = flux.DEV.make(folder, layout="bare")     one of flux.DEV.layouts; name= and said= may be given
    files = flux.DEV.companions(folder)             {"vae": …/ae.safetensors, "clip_l": …, "t5xxl": …}
    pipe = flux.DEV.reference()                     diffusers' own pipeline over the same weights, float32
    flux.DEV.original(), .denoiser(), .convert      tensors by original names, the network, diffusers' converter

Layouts: "bare" (the denoiser alone, names as they are), "prefixed" (below `model.diffusion_model.`, AuraFlow `model.`),
"single" (with VAE and text encoders, where such files exist), "folder" and "sharded" (diffusers' own). Files hold the
denoiser's config in the header's `swarm.config` and, unless `said=False`, their family in `modelspec.architecture`.

Weights are exact in float16, which the files hold. Widths keep the families' proportions, so that what is read off
shapes comes out right: heads of 32 in Flux, Chroma, Flux.2, Qwen-Image, Z-Image and Sana, of 24 in Lumina 2, of 16
elsewhere; rotary axes in the same shares as the true ones. Text encoders (encoders.py) have the vocabularies that ship
with Swarm; Gemma and Pile-T5 carry a small one in their file (`spiece_model`). VAEs: autoencoders.py. Stable
Diffusion 1 and XL are in tests/support/tiny_models.py.
"""
