"""The child process that owns one device: `python -m swarm.engine`. The only home of torch."""
