"""`data:` URLs, which is how pictures travel inside JSON."""

from __future__ import annotations

import base64
import binascii

from swarm.base.errors import BadInput


def parse_data_url(text: str) -> tuple[str, bytes]:
    """(mime in lower case, bytes) of a base64 `data:` URL. Raises BadInput with a sentence for anything else."""
    head, comma, body = text.partition(",")
    scheme, _, kind = head.partition(":")
    mime, *options = kind.split(";")
    if scheme.strip().lower() != "data" or not comma or "base64" not in [option.strip().lower() for option in options]:
        raise BadInput("This is not a base64 data URL: it must start like 'data:image/png;base64,'.")
    try:
        data = binascii.a2b_base64(body.strip(), strict_mode=True)  # base64.b64decode would copy the text first
    except (binascii.Error, ValueError):
        raise BadInput("The data URL does not hold valid base64.") from None
    if not data:
        raise BadInput("The data URL is empty.")
    return mime.strip().lower(), data


def make_data_url(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"
