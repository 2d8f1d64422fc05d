"""Subcommands of `python -m swarm`: one file each, with `run(arguments) -> exit code`."""
