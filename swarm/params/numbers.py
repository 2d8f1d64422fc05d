"""Numbers as text, both ways, as the wire spells them (swarm-t2i 3.1 and 3.3)."""

from __future__ import annotations

import decimal
import math
import re

_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9][0-9,]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
_INT64 = 2**63


def parse_integer(text: str) -> int | None:
    """Optional sign and digits, white space around allowed; None if it is something else or needs more than 64 bits."""
    text = text.strip()
    if not _INTEGER.fullmatch(text):
        return None
    value = int(text)
    return value if -_INT64 <= value < _INT64 else None


def parse_decimal(text: str) -> float | None:
    """Point as the decimal mark, thousands commas and exponents allowed; None for anything else, NaN and infinities."""
    text = text.strip()
    if len(text) > 400 or not _DECIMAL.fullmatch(text):
        return None
    value = float(text.replace(",", ""))
    return value if math.isfinite(value) else None


def number_text(value: float) -> str:
    """Shortest text that reads back as `value`, no trailing `.0`: `7`, `7.5`, `9.223372036854776E+18`, `1E-05`."""
    if isinstance(value, int) and abs(value) < 10**15:
        return str(value)
    sign, digits, power = decimal.Decimal(repr(float(value))).normalize().as_tuple()
    if not isinstance(power, int):
        raise ValueError(f"{value} has no number text")
    exponent = len(digits) - 1 + power
    mantissa = "".join(map(str, digits))
    if mantissa == "0":
        return "0"
    if -5 < exponent < 15:
        body = f"{decimal.Decimal((0, digits, power)):f}"
    else:
        point = "." if len(mantissa) > 1 else ""
        body = f"{mantissa[0]}{point}{mantissa[1:]}E{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return "-" + body if sign else body
