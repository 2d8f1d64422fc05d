"""Tiny ONNX files, written by hand: the few messages of the format that a graph of some nodes takes.

Fields are numbered as onnx.proto3 numbers them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_FLOAT, _INT64 = 1, 7
_KINDS = {"float32": _FLOAT, "int64": _INT64}
_INT_ATTRIBUTE, _INTS_ATTRIBUTE = 2, 7
OPSET = 17


@dataclass(frozen=True, kw_only=True)
class Node:
    """`attributes`: whole numbers, or rows of them."""

    op: str
    inputs: Sequence[str]
    output: str
    attributes: Mapping[str, int | Sequence[int]] = field(default_factory=dict)


def write_onnx(
    path: Path,
    *,
    entry: tuple[int, ...],
    nodes: Sequence[Node],
    constants: Mapping[str, np.ndarray],
    outputs: Mapping[str, tuple[int, ...]],
) -> Path:
    """A model with one input `images` of the shape `entry`; constants are float32 or int64. Returns `path`.

    A side of -1 is left open.
    """
    graph = b"".join(
        (
            *(_bytes(1, _node(node)) for node in nodes),
            _text(2, "graph"),
            *(_bytes(5, _tensor(name, value)) for name, value in constants.items()),
            _bytes(11, _value("images", entry)),
            *(_bytes(12, _value(name, shape)) for name, shape in outputs.items()),
        )
    )
    path.write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, OPSET)))
    return path


def _node(node: Node) -> bytes:
    parts = [*(_text(1, name) for name in node.inputs), _text(2, node.output), _text(4, node.op)]
    for name, value in node.attributes.items():
        if isinstance(value, int):
            attribute = _number(3, value) + _number(20, _INT_ATTRIBUTE)
        else:
            attribute = b"".join(_number(8, each) for each in value) + _number(20, _INTS_ATTRIBUTE)
        parts.append(_bytes(5, _text(1, name) + attribute))
    return b"".join(parts)


def _tensor(name: str, value: np.ndarray) -> bytes:
    sides = b"".join(_number(1, side) for side in value.shape)
    return sides + _number(2, _KINDS[str(value.dtype)]) + _text(8, name) + _bytes(9, value.tobytes())


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    sides = b"".join(_bytes(1, b"" if side < 0 else _number(1, side)) for side in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, _FLOAT) + _bytes(2, sides)))


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def _number(field_number: int, value: int) -> bytes:
    return _varint(field_number << 3) + _varint(value)


def _bytes(field_number: int, value: bytes) -> bytes:
    return _varint(field_number << 3 | 2) + _varint(len(value)) + value


def _text(field_number: int, value: str) -> bytes:
    return _bytes(field_number, value.encode())
