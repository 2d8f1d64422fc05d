"""Attention: its kernels, and what is done with it inside a network."""
