"""The sound of a video as a file of its own (swarm-t2i 4.12)."""

from __future__ import annotations

import json
import re

from swarm.access.permissions import BASIC_IMAGE_GENERATION
from swarm.api.route import Call, route
from swarm.api.shapes import Shape
from swarm.base.data_url import parse_data_url
from swarm.base.errors import BadInput, NotFound, Refused
from swarm.base.json import JsonObject
from swarm.base.paths import clean_file_name
from swarm.base.tasks import to_thread
from swarm.media.audio_track import extract_audio
from swarm.media.formats import Encoded
from swarm.outputs.store import OutputStore, Saved, SaveRequest

_FOLDERS = ("inputs/", "raw/", "Starred/")
_VIDEOS = (".mp4", ".webm", ".mov", ".mpeg", ".mkv", ".avi")
_UNSAVED = "Failed to save the extracted audio. Ensure file saving is enabled."
AUDIO: Shape = {
    "audio": {"path": str, "src": str},
    "images": [{"image": str, "batch_index": str, "request_id": str, "metadata": str}],
}


@route("ExtractVideoAudio", permission=BASIC_IMAGE_GENERATION, touches=True, answers=AUDIO)
async def extract_video_audio(call: Call, video: str, filename: str = "") -> JsonObject:
    """Save the sound of a video as an MP3 file below `inputs/extracted_audio`.

    `video`: a data URL, or a path of the history. `filename`: what the video is called, for a data URL.
    """
    user = call.caller.user
    name, data = await to_thread(_video, call.state.outputs, user.id, video, filename)
    audio = await to_thread(extract_audio, data)
    if not user.settings.save_files:
        raise Refused(_UNSAVED)
    metadata = _metadata(name)
    saved = await to_thread(_save, call.state.outputs, user.id, name, audio, metadata)
    image = {"image": saved.url, "batch_index": "0", "request_id": str(user.next_request_id()), "metadata": metadata}
    return {"audio": {"path": saved.relative, "src": saved.url}, "images": [image]}


def _video(outputs: OutputStore, user_id: str, video: str, filename: str) -> tuple[str, bytes]:
    """(name, bytes). Blocking. Raises UserError with the wire's sentence."""
    if video.startswith("data:"):
        try:
            mime, data = parse_data_url(video)
        except BadInput:
            raise BadInput("Invalid video data supplied for audio extraction.") from None
        if not mime.startswith("video/"):
            raise BadInput("The supplied media is not a video.")
        return filename or "video", data
    if not video.startswith(_FOLDERS):
        raise BadInput("Invalid video path supplied for audio extraction.")
    if not video.lower().endswith(_VIDEOS):
        raise BadInput("The supplied media path is not a video.")
    found = outputs.read(user_id, video)
    if found is None:
        raise NotFound("The video file does not exist.")
    return video.rpartition("/")[2], found[0]


def _metadata(name: str) -> str:
    extra = {"source video": name, "operation applied": "Split Audio"}
    return json.dumps({"sui_image_params": {}, "sui_extra_data": extra}, indent=2)


def _save(outputs: OutputStore, user_id: str, name: str, audio: bytes, metadata: str) -> Saved:
    """Blocking. Raises Refused."""
    base = re.sub(r"[\[\]/]", "", clean_file_name(name.rpartition(".")[0] or name)) or "video"
    request = SaveRequest(
        user_id=user_id,
        template=f"inputs/extracted_audio/{base}-audio-[number]",
        tokens={},
        max_part=40,
        encoded=Encoded(data=audio, extension="mp3", mime="audio/mpeg", embedded=False, needs_sidecar=True),
        metadata=metadata,
    )
    try:
        return outputs.save(request)
    except Refused:
        raise Refused(_UNSAVED) from None
