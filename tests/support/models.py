"""Model files for tests: real headers in the real layout, with hardly any weights behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

SD15_TENSORS: Mapping[str, tuple[int, ...]] = {
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (4, 2),
    "first_stage_model.decoder.conv_in.weight": (2, 4, 1, 1),
    "model.diffusion_model.input_blocks.0.0.weight": (2, 4, 1, 1),
    "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (2, 2),
}


def write_model(path: Path, tensors: Mapping[str, tuple[int, ...]] = SD15_TENSORS, **metadata: str) -> Path:
    """A safetensors file with zeros for weights."""
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    offset = 0
    for name, shape in tensors.items():
        size = 2
        for side in shape:
            size *= side
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(offset))
    return path
