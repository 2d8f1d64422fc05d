"""Prompts as the networks read them: tokenizers, text encoders, language models, learned words."""
