"""Denoisers of the batched tier: one file per kind of network."""
