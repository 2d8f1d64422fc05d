"""The steps of a workflow, one file each; every `ComfyStep` in them is one."""
