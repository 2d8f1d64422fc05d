"""The tier of whole pipelines: whatever diffusers can load, run by its own call."""
