"""LoRAs: their files, their kinds, and where they act."""
