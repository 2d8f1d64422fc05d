"""The formats pictures are saved in, and encoding into them (swarm-t2i 6.3)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from PIL import Image

from swarm.base.errors import BadInput
from swarm.media.embedded import png_with_text
from swarm.media.exif import MAX_JPEG_BYTES, make_exif
from swarm.media.image import MAX_PIXELS, Picture, Pixels, decode, eight_bits, guess_mime, load, open_image, to_pillow
from swarm.media.png16 import DEEP_MODES, deep_png
from swarm.media.stealth import hide


@dataclass(frozen=True, kw_only=True)
class Format:
    """A way to save a still picture. `quality`: fixed, or None for the user's own. `offered`: shown to choose from."""

    id: str
    extension: str
    mime: str
    quality: int | None = None
    lossless: bool = False
    offered: bool = True


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A file's bytes, ready to be written.

    `embedded`: the metadata text is inside. `needs_sidecar`: such a file cannot hold it, so it belongs beside it.
    `beside`: further files, by what stands in place of the extension (small versions of a video).
    """

    data: bytes
    extension: str
    mime: str
    embedded: bool
    needs_sidecar: bool
    beside: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))


def _table(*formats: Format) -> Mapping[str, Format]:
    return MappingProxyType({format.id: format for format in formats})


FORMATS = _table(
    Format(id="PNG", extension="png", mime="image/png", lossless=True),
    Format(id="JPG", extension="jpg", mime="image/jpeg"),
    Format(id="WEBP_LOSSLESS", extension="webp", mime="image/webp", lossless=True),
    Format(id="WEBP", extension="webp", mime="image/webp"),
    Format(id="JPG90", extension="jpg", mime="image/jpeg", quality=90, offered=False),
    Format(id="JPG75", extension="jpg", mime="image/jpeg", quality=75, offered=False),
    Format(id="WEBP_100", extension="webp", mime="image/webp", quality=100, offered=False),
    Format(id="WEBP_90", extension="webp", mime="image/webp", quality=90, offered=False),
    Format(id="WEBP_75", extension="webp", mime="image/webp", quality=75, offered=False),
)

EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {
        "image/png": "png",
        "image/jpeg": "jpg",
        "image/webp": "webp",
        "image/gif": "gif",
        "image/avif": "avif",
        "video/mp4": "mp4",
        "video/webm": "webm",
        "video/quicktime": "mov",
        "audio/mpeg": "mp3",
        "audio/wav": "wav",
        "audio/ogg": "ogg",
        "audio/flac": "flac",
    }
)
"""File extension of each media type that may be kept as it is."""

MAX_DPI = 65_535
"""The finest resolution that every format can record."""

_Z_RLE = 3
"""The zlib strategy that suits filtered pixels: half the time of the default at the same size."""


def encode(
    image: Pixels | Picture,
    format_id: str,
    *,
    quality: int = 100,
    metadata: str | None = None,
    dpi: int = 0,
    stealth: str = "false",
    max_pixels: int = MAX_PIXELS,
) -> Encoded:
    """The picture in the named format, with the metadata inside where the format can hold it.

    `quality`: 1 to 100, for the lossy formats. `stealth`: `Alpha`, `RGB` or `false`. Animations, videos and sound keep
    their own data. 16 bits a channel are kept by PNG alone, and not beside stealth metadata. Raises BadInput for an
    unknown format and for pictures that cannot be read.
    """
    chosen = FORMATS.get(format_id)
    if chosen is None:
        raise BadInput(f"User setting for image format is '{format_id}', which is invalid")
    if isinstance(image, Picture):
        if not is_still(image):
            return _unchanged(image)
        image = decode(image, max_pixels)
    if image.mode in DEEP_MODES and chosen.extension == "png" and (not metadata or stealth not in ("Alpha", "RGB")):
        data = deep_png(image, min(dpi, MAX_DPI))
        data = png_with_text(data, metadata) if metadata else data
        return Encoded(data=data, extension="png", mime=chosen.mime, embedded=bool(metadata), needs_sidecar=False)
    image = eight_bits(image)
    if metadata and stealth in ("Alpha", "RGB"):
        image = _with_hidden(image, metadata, stealth, chosen)
    return _encode_still(to_pillow(image), chosen, quality, metadata, dpi)


def is_still(picture: Picture) -> bool:
    """Whether it is a single picture: no video, no sound, no animation. Decided by its bytes. Raises BadInput."""
    mime = guess_mime(picture.data)
    if mime in ("image/gif", "image/webp"):
        return mime == "image/webp" and not getattr(open_image(picture.data), "is_animated", False)
    return mime is None or mime.startswith("image/")


def _unchanged(picture: Picture) -> Encoded:
    mime = guess_mime(picture.data) or picture.mime
    return Encoded(data=picture.data, extension=EXTENSIONS[mime], mime=mime, embedded=False, needs_sidecar=True)


def _with_hidden(pixels: Pixels, metadata: str, stealth: str, chosen: Format) -> Pixels:
    """Stealth metadata, where the format keeps the bits it lives in."""
    webp = chosen.extension == "webp"
    if chosen.extension == "jpg" or (webp and stealth == "RGB" and not chosen.lossless):
        return pixels
    return hide(pixels, metadata, stealth, keep_alpha=webp)


def _encode_still(image: Image.Image, chosen: Format, quality: int, metadata: str | None, dpi: int) -> Encoded:
    dpi = min(dpi, MAX_DPI)
    options: dict[str, Any] = {"dpi": (dpi, dpi)} if dpi > 0 else {}
    exif = make_exif(None if chosen.extension == "png" else metadata, dpi)
    too_long = chosen.extension == "jpg" and len(exif) > MAX_JPEG_BYTES
    if too_long:
        exif, metadata = make_exif(None, dpi), None
    if exif:
        options["exif"] = exif
    buffer = io.BytesIO()
    _plain(image, chosen).save(buffer, **options, **_options(chosen, quality))
    data = buffer.getvalue()
    if chosen.extension == "png" and metadata:
        data = png_with_text(data, metadata)
    return Encoded(
        data=data,
        extension=chosen.extension,
        mime=chosen.mime,
        embedded=bool(metadata),
        needs_sidecar=too_long,
    )


def _plain(image: Image.Image, chosen: Format) -> Image.Image:
    return image.convert("RGB") if chosen.extension == "jpg" and image.mode != "RGB" else image


def _options(chosen: Format, quality: int) -> dict[str, Any]:
    """Pillow's arguments. PNG at level 1: the default level takes longer than a few-step generation."""
    quality = chosen.quality or min(max(quality, 1), 100)
    if chosen.extension == "png":
        return {"format": "PNG", "compress_level": 1, "compress_type": _Z_RLE}
    if chosen.extension == "jpg":
        return {"format": "JPEG", "quality": quality}
    if chosen.lossless:
        return {"format": "WEBP", "lossless": True, "quality": 100, "method": 0, "exact": True}
    return {"format": "WEBP", "quality": quality}


def thumbnail(data: bytes, *, metadata: str | None = None, side: int = 256, max_pixels: int = MAX_PIXELS) -> bytes:
    """A JPEG of the picture whose shorter side is `side` pixels, with `metadata` in its EXIF. Raises BadInput."""
    image = open_image(data, max_pixels)
    size = thumbnail_size(image.width, image.height, side)
    image.draft("RGB", size)
    small = load(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    exif = make_exif(metadata)
    options: dict[str, Any] = {"exif": exif} if 0 < len(exif) <= MAX_JPEG_BYTES else {}
    buffer = io.BytesIO()
    on_black(small).save(buffer, "JPEG", quality=80, **options)
    return buffer.getvalue()


def thumbnail_size(width: int, height: int, side: int) -> tuple[int, int]:
    """The size at which the shorter side is `side`; very long pictures stop at 16 times that."""
    scale = min(side / min(width, height), 16 * side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def on_black(image: Image.Image) -> Image.Image:
    """Transparent pixels shown on black: JPEG has no alpha."""
    if image.mode != "RGBA":
        return image
    ground = Image.new("RGB", image.size)
    ground.paste(image, mask=image.getchannel("A"))
    return ground
