"""Programs that measure Swarm side by side with what it stands on, and print ratios. Not tests."""
