"""Moving pictures as values: frames as raw pixels, before anybody has chosen a file format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from swarm.base.errors import BadInput
from swarm.media.image import Pixels


@dataclass(frozen=True, kw_only=True)
class Clip:
    """`data`: the frames one after the other, each row by row from the top left, RGB, 8 bits a channel.

    `fps`: frames per second at which it is to be played.
    """

    width: int
    height: int
    fps: float
    data: bytes

    @property
    def frame_bytes(self) -> int:
        return self.width * self.height * 3

    @property
    def count(self) -> int:
        """How many frames it has."""
        return len(self.data) // self.frame_bytes

    def frame(self, index: int) -> Pixels:
        """One frame as a picture."""
        start = index * self.frame_bytes
        data = self.data[start : start + self.frame_bytes]
        return Pixels(width=self.width, height=self.height, mode="RGB", data=data)

    def frames(self) -> Iterator[memoryview]:
        """The bytes of each frame, not copied."""
        view, size = memoryview(self.data), self.frame_bytes
        return (view[start : start + size] for start in range(0, len(view), size))

    def picked(self, indices: Sequence[int]) -> Clip:
        """Those frames in that order."""
        frames = list(self.frames())
        return replace(self, data=b"".join(frames[index] for index in indices))


def trimmed(clip: Clip, start: int, end: int) -> Clip:
    """Without `start` frames at the begin and `end` at the end. Raises BadInput when nothing would be left."""
    if start + end >= clip.count:
        raise BadInput(f"The video has {clip.count} frames, so trimming {start + end} of them leaves none.")
    return clip.picked(range(start, clip.count - end))


def there_and_back(clip: Clip) -> Clip:
    """The frames, then the same in reverse; the turning points are shown once, so that it loops evenly."""
    return clip.picked([*range(clip.count), *range(clip.count - 2, 0, -1)])
