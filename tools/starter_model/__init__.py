"""The starter model: a small illustrated world, and the diffusion model that learnt to draw it.

Only the tools that make the model live here. The server loads the finished file like any other checkpoint.
"""
