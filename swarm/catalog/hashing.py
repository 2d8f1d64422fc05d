"""The hash that names a model's weights whatever its metadata says (swarm-models-backends 1.5)."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from swarm.catalog.headers import read_file_header
from swarm.catalog.sets import extension

_BLOCK = 4 * 1024 * 1024


def can_be_hashed(name: str) -> bool:
    """Whether a file of this name may hold tensors that have a hash."""
    return extension(name) in ("safetensors", "sft")


def tensor_hash(path: Path, name: str) -> str | None:
    """`0x` and lower-case hex SHA-256 from the end of the header to the end of the file; safetensors only."""
    if not can_be_hashed(name):
        return None
    offset = read_file_header(path, name).data_offset
    if offset is None:
        return None
    digest = sha256()
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(_BLOCK):
            digest.update(block)
    return f"0x{digest.hexdigest()}"
