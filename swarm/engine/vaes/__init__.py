"""Between latents and pixels: the VAEs of all families, and the tiny ones for previews."""
