"""The files known by a short name."""

from __future__ import annotations

import re

from swarm.base.outgoing import is_host_of, split_url
from swarm.catalog.download import HOSTS
from swarm.catalog.known_models import KNOWN_MODELS, known_hash
from swarm.catalog.sets import SETS


def test_known_files_can_be_downloaded_and_checked() -> None:
    assert len(KNOWN_MODELS) == 36
    assert {known.subtype for known in KNOWN_MODELS.values()} <= {each.id for each in SETS}
    for known in KNOWN_MODELS.values():
        assert is_host_of(split_url(known.url).hostname or "", HOSTS)
        assert re.fullmatch("[0-9a-f]{64}", known.sha256)
        assert known.file.endswith(".safetensors")
        assert known_hash(known.url + "?download=true") == known.sha256
    sdxl = KNOWN_MODELS["sdxl-vae"]
    assert sdxl.file == "OfficialStableDiffusion/sdxl_vae.safetensors"
    assert sdxl.sha256.startswith("235745af8d86bf4a4c1b5b4f529868b37019a10f7c0b2e79ad0abca3a22bc6e1"[:16])
    assert known_hash("https://huggingface.co/somebody/else.safetensors") is None
