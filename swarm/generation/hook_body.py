"""What a web hook says: its data text with tags filled in (swarm-core 9.1.2, 9.1.3). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from swarm.base.errors import BadInput
from swarm.base.json import dumps, loads
from swarm.media.image import Picture

JSON_TYPE = "application/json"
_DISCORD = "[discord_image]"
_TAG = re.compile(r'%([^%"\\\n]{1,256})%')
_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif", "video/mp4": "mp4"}


@dataclass(frozen=True)
class HookBody:
    """A finished body with its content type."""

    type: str
    data: bytes


def wants_picture(text: str) -> bool:
    """Whether the picture itself goes along."""
    return text.strip().startswith(_DISCORD)


def hook_body(text: str, tags: Mapping[str, str] | None = None, picture: Picture | None = None) -> HookBody:
    """The body that the data text of a setting means. Raises BadInput when it is not a JSON object once filled."""
    plain = text.strip()
    with_picture = plain.startswith(_DISCORD)
    plain = plain.removeprefix(_DISCORD).strip() or "{}"
    filled = plain if tags is None else _TAG.sub(lambda found: _value(found, tags), plain)
    if not isinstance(loads(filled), Mapping):
        raise BadInput("The data of a web hook must be a JSON object.")
    if with_picture and picture is not None:
        return _multipart(filled, picture)
    return HookBody(JSON_TYPE, filled.encode())


def _value(found: re.Match[str], tags: Mapping[str, str]) -> str:
    """The JSON-escaped value of a tag; an unknown tag stays as it is."""
    value = tags.get(found[1].lower())
    if value is None:
        return found[0]
    return dumps(value).decode()[1:-1].replace("/", "\\/")


def _multipart(json: str, picture: Picture) -> HookBody:
    name = f"image.{_EXTENSIONS.get(picture.mime, 'bin')}"
    parts = (
        f'Content-Disposition: form-data; name="payload_json"\r\nContent-Type: {JSON_TYPE}\r\n\r\n'.encode()
        + json.encode(),
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {picture.mime}\r\n\r\n".encode()
        + picture.data,
    )
    boundary = f"swarm-{sha256(picture.data).hexdigest()[:24]}"
    mark = f"--{boundary}".encode()
    data = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
    return HookBody(f"multipart/form-data; boundary={boundary}", data)
