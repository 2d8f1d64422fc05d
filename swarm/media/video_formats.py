"""The formats clips are saved in (swarm-t2i 9.14)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

RAW, SOUND, STILL, MOVING = "frames.raw", "sound.mp3", "still.jpg", "moving.webp"
"""Files by which the server and the child that writes a video talk to each other."""


@dataclass(frozen=True, kw_only=True)
class VideoFormat:
    """A way to save a clip. `codec`, `container`, `pixels`, `options`, `tag`: ffmpeg's; no codec for what Pillow
    writes. `sound`: ffmpeg's codec for sounds; none for what is silent. `smallest`: pixels a side must have at least.
    `own_palette`: colours are chosen for the clip.
    """

    id: str
    name: str
    extension: str
    mime: str
    codec: str = ""
    container: str = ""
    pixels: str = "yuv420p"
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    tag: str = ""
    sound: str = ""
    smallest: int = 2
    own_palette: bool = False


def _table(*formats: VideoFormat) -> Mapping[str, VideoFormat]:
    return MappingProxyType({format.id: format for format in formats})


VIDEO_FORMATS = _table(
    VideoFormat(id="webp", name="WebP (animated picture)", extension="webp", mime="image/webp"),
    VideoFormat(id="gif", name="GIF", extension="gif", mime="image/gif"),
    VideoFormat(id="gif-hd", name="GIF (better colours)", extension="gif", mime="image/gif", own_palette=True),
    VideoFormat(
        id="webm",
        name="WebM (VP9)",
        extension="webm",
        mime="video/webm",
        codec="libvpx-vp9",
        container="webm",
        sound="libopus",
        options={"crf": "23", "b": "0", "row-mt": "1", "deadline": "good", "cpu-used": "4"},
    ),
    VideoFormat(
        id="h264-mp4",
        name="MP4 (H.264)",
        extension="mp4",
        mime="video/mp4",
        codec="libx264",
        container="mp4",
        sound="aac",
        options={"crf": "19"},
    ),
    # Apple's players ask for the tag. Below one coding unit, x265 writes where it must not.
    VideoFormat(
        id="h265-mp4",
        name="MP4 (H.265)",
        extension="mp4",
        mime="video/mp4",
        codec="libx265",
        container="mp4",
        sound="aac",
        options={"crf": "22", "x265-params": "log-level=-1"},
        tag="hvc1",
        smallest=64,
    ),
    VideoFormat(
        id="prores",
        name="MOV (ProRes)",
        extension="mov",
        mime="video/quicktime",
        codec="prores_ks",
        container="mov",
        pixels="yuv422p10le",
        sound="aac",
        options={"profile": "3"},
    ),
)
