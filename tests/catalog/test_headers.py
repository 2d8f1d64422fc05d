"""Files as they come from downloads, copies and strangers: each is read safely or refused in a sentence."""

from __future__ import annotations

import json
import pickle
import struct
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.base.errors import BadInput
from swarm.catalog.hashing import tensor_hash
from swarm.catalog.headers import MAX_HEADER, read_header
from tests.support.models import write_model


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


GOOD = safetensors(
    {"__metadata__": {"a": "b"}, "t": {"dtype": "F16", "shape": [1, 2], "data_offsets": [0, 4]}}, b"data"
)


def test_names_shapes_and_metadata_are_read(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(GOOD)
    header = read_header(tmp_path / "m.safetensors")
    assert header.has("t")
    assert header.shape("missing", "t") == (1, 2)
    assert header.metadata == {"a": "b"}
    assert header.name == "m.safetensors"


@pytest.mark.case("T23")
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"short", "does not begin with a valid header"),
        (b"<!DOCTYPE html><html><body>Please log in</body></html>", "is a web page"),
        (b"\n  <html lang='en'>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS pointer"),
        (b"PK\x03\x04archive/data.pkl", "pickled checkpoint.*Pickle2SafeTensor converts it"),
        (pickle.dumps({"state_dict": {}}), "pickled checkpoint"),
        (GOOD[:20], "cut off within its header"),
        (GOOD[:-1], "cut off"),
        (bytes(64), "valid header"),
        ((MAX_HEADER + 1).to_bytes(8, "little") + bytes(64), "valid header"),
        (b"\xff" * 64, "valid header"),
        ((12).to_bytes(8, "little") + b"not json at ", "not valid JSON"),
        ((2000).to_bytes(8, "little") + b"[" * 2000, "not valid JSON"),
        (safetensors([1, 2, 3]), "not a JSON object"),
        (safetensors({"t": 5}), "malformed"),
        (safetensors({"t": {"dtype": "F16", "shape": [1]}}), "malformed"),
        (safetensors({"t": {"dtype": "F16", "shape": [-1], "data_offsets": [0, 2]}}), "malformed"),
        (safetensors({"t": {"dtype": "F16", "shape": "ab", "data_offsets": [0, 2]}}), "malformed"),
        (safetensors({"t": {"dtype": 16, "shape": [1], "data_offsets": [0, 2]}}), "malformed"),
        (safetensors({"t": {"dtype": "F16", "shape": [1], "data_offsets": [4, 2]}}), "malformed"),
        (safetensors({"t": {"dtype": "F16", "shape": [1], "data_offsets": [0, True]}}), "malformed"),
        (safetensors({"t": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2**70]}}), "malformed|cut off|JSON"),
        (safetensors({"t": {"dtype": "F16", "shape": [1], "data_offsets": [0, 10**12]}}), "cut off"),
    ],
)
def test_what_is_no_model_is_refused_by_name(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "odd name.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match=sentence) as refusal:
        read_header(tmp_path / "odd name.safetensors", "folder/odd name.safetensors")
    assert "'folder/odd name.safetensors'" in refusal.value.sentence


@pytest.mark.case("T23")
@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_random_bytes_never_do_more_than_be_refused(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        for start in (b"", b"GGUF\x03\0\0\0", len(content).to_bytes(8, "little")):
            path = Path(folder) / "m.safetensors"
            path.write_bytes(start + content)
            with suppress(BadInput):
                read_header(path)


def test_metadata_that_is_not_text_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(safetensors({"__metadata__": {"a": "b", "c": 5, "d": None}}))
    assert read_header(tmp_path / "m.safetensors").metadata == {"a": "b"}
    (tmp_path / "m.safetensors").write_bytes(safetensors({"__metadata__": "text"}))
    assert read_header(tmp_path / "m.safetensors").metadata == {}


def gguf_text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def gguf(pairs: bytes = b"", count: int = 0) -> bytes:
    tensor = gguf_text("double_blocks.0.img_attn.norm.key_norm.scale") + struct.pack("<IQIQ", 1, 128, 0, 0)
    return b"GGUF" + struct.pack("<IQQ", 3, 1, count) + pairs + tensor


def test_gguf_headers_are_read(tmp_path: Path) -> None:
    pairs = gguf_text("general.architecture") + struct.pack("<I", 8) + gguf_text("flux")
    pairs += gguf_text("numbers") + struct.pack("<IIQ", 9, 4, 2) + bytes(8)
    pairs += gguf_text("count") + struct.pack("<II", 4, 7)
    (tmp_path / "m.gguf").write_bytes(gguf(pairs, 3))
    header = read_header(tmp_path / "m.gguf")
    assert header.metadata["general.architecture"] == "flux"
    assert header.metadata["count"] == "7"
    assert header.shape("double_blocks.0.img_attn.norm.key_norm.scale") == (128,)


@pytest.mark.case("T23")
@pytest.mark.parametrize(
    "content",
    [
        b"GGUF",
        gguf()[:40],
        b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", 2**62),
        gguf(gguf_text("k") + struct.pack("<I", 99), 1),
        gguf(gguf_text("k") + struct.pack("<IIQ", 9, 4, 2**61), 1),
        b"GGUF" + struct.pack("<I", 99),
    ],
)
def test_damaged_gguf_headers_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(BadInput, match=r"'m\.gguf'"):
        read_header(tmp_path / "m.gguf")


def test_a_diffusers_folder_is_known_by_its_index(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (tmp_path / "unet" / "config.json").write_text('{"cross_attention_dim": 1024}')
    assert read_header(tmp_path).metadata == {
        "diffusers.pipeline": "StableDiffusionPipeline",
        "diffusers.text_width": "1024",
    }
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(BadInput, match="not valid JSON"):
        read_header(tmp_path)
    (tmp_path / "model_index.json").write_text("[]")
    with pytest.raises(BadInput, match="names no pipeline class"):
        read_header(tmp_path)


def test_the_hash_is_of_the_weights_only(tmp_path: Path) -> None:
    one = write_model(tmp_path / "a.safetensors", {"t": (4,)})
    other = write_model(tmp_path / "b.safetensors", {"t": (4,)}, title="another title")
    hash = tensor_hash(one, "a.safetensors")
    assert hash is not None
    assert hash.startswith("0x")
    assert len(hash) == 66
    assert tensor_hash(other, "b.safetensors") == hash
    assert tensor_hash(one, "a.gguf") is None
