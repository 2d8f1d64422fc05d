"""Swarm: an image-generation server that speaks SwarmUI's wire and shares the device between requests."""

__version__ = "0.1.0"
