"""Messages between the server and an engine process, as frames: u32 header length, JSON header, blobs.

A frame is `length (4 bytes, little endian) · header · blob · blob …`; the header is JSON: the message's kind, its
values, and the lengths of the blobs behind it. Pure: bytes in, values out. Sizes are bounded on both sides, so a broken
stream is noticed instead of allocated.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from swarm.base.errors import BadInput, SwarmError
from swarm.base.json import dumps, loads
from swarm.jobs.events import BackendEvent, ImageDone, LoadingModel, Preview, StepDone
from swarm.jobs.job import Job, LoraUse, ModelFile
from swarm.media.clip import Clip
from swarm.media.image import Picture, Pixels
from swarm.params.codec import decode_input, encode_input

MAX_HEADER = 64 * 1024 * 1024
MAX_BLOBS = 4096
MAX_BLOB = 2 * 1024 * 1024 * 1024
_LENGTH = struct.Struct("<I")

Body: TypeAlias = "dict[str, Any]"


class BrokenFrame(SwarmError):
    """The bytes are not a frame this program wrote; the stream cannot be read on."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Server to engine: make the pictures of `job`."""

    job: Job


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Server to engine: nobody waits for this job any more. No answer."""

    id: str


@dataclass(frozen=True, kw_only=True)
class Load:
    """Server to engine: make `model` the current one; answered by Loaded."""

    model: ModelFile


@dataclass(frozen=True, kw_only=True)
class Free:
    """Server to engine: give device memory back, and host memory when asked; answered by Freed."""

    system_ram: bool


@dataclass(frozen=True, kw_only=True)
class Ping:
    """Server to engine: are you there? Answered by Pong from the engine's reader thread, also during a long step."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Engine to server, first of all: what it runs on. `memory`: bytes of the device, 0 if unknown."""

    device: str
    name: str
    memory: int
    features: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Event:
    """Engine to server: something happened to a job."""

    id: str
    event: BackendEvent


@dataclass(frozen=True, kw_only=True)
class JobDone:
    """Engine to server: the job's last picture is out; nothing more will come for it."""

    id: str


@dataclass(frozen=True, kw_only=True)
class JobFailed:
    """Engine to server: the job ends without (all of) its pictures. `kind`: `bad_input`, `refused` or `failed`."""

    id: str
    sentence: str
    kind: str = "failed"


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Engine to server: the model is ready, or (`problem` given) why it could not be loaded."""

    name: str
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Freed:
    """Engine to server: memory was given back (or there was none to give)."""

    freed: bool


@dataclass(frozen=True, kw_only=True)
class Pong:
    """Engine to server: I am here. `beats`: rounds of the main loop so far; standing still while busy means a hang.

    `compiled`, `to_compile`: blocks of the loaded models that are compiled, or are to be, for each kind of call.
    """

    number: int
    beats: int = 0
    compiled: int = 0
    to_compile: int = 0


Request: TypeAlias = Run | Cancel | Load | Free | Ping
Answer: TypeAlias = Ready | Event | JobDone | JobFailed | Loaded | Freed | Pong
Message: TypeAlias = Request | Answer


class _Blobs:
    """Collects blobs while a message is written; remembers positions."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def put(self, data: bytes) -> int:
        self.parts.append(data)
        return len(self.parts) - 1


def _file_body(file: ModelFile) -> Body:
    return {
        "name": file.name,
        "path": str(file.path),
        "family": file.family,
        "stamp": file.stamp,
        "size": [file.width, file.height],
        "latent_space": file.latent_space,
        "prediction": file.prediction,
        "companions": {slot: _file_body(part) for slot, part in file.companions},
    }


def _file(body: Body) -> ModelFile:
    width, height = body["size"]
    return ModelFile(
        name=body["name"],
        path=Path(body["path"]),
        family=body["family"],
        stamp=body["stamp"],
        width=width,
        height=height,
        latent_space=body["latent_space"],
        prediction=body["prediction"],
        companions=tuple((slot, _file(part)) for slot, part in body["companions"].items()),
    )


def _lora_body(use: LoraUse) -> Body:
    return {
        "file": _file_body(use.file),
        "weight": use.weight,
        "text_weight": use.text_weight,
        "section": use.section,
    }


def _lora(body: Body) -> LoraUse:
    return LoraUse(
        file=_file(body["file"]), weight=body["weight"], text_weight=body["text_weight"], section=body["section"]
    )


def _job_body(job: Job, blobs: _Blobs) -> Body:
    header, parts = encode_input(job.input)
    first = len(blobs.parts)
    blobs.parts.extend(parts)
    return {
        "id": job.id,
        "input": header,
        "input_blobs": [first, len(parts)],
        "model": None if job.model is None else _file_body(job.model),
        "loras": [_lora_body(use) for use in job.loras],
        "parts": {slot: _file_body(file) for slot, file in job.parts.items()},
        "files": {name: _file_body(file) for name, file in job.files.items()},
        "seeds": list(job.seeds),
        "variation_seeds": list(job.variation_seeds),
        "wants_previews": job.wants_previews,
        "user_id": job.user_id,
    }


def _job(body: Body, blobs: Sequence[bytes]) -> Job:
    first, count = body["input_blobs"]
    return Job(
        id=body["id"],
        input=decode_input(body["input"], list(blobs[first : first + count])),
        model=None if body["model"] is None else _file(body["model"]),
        loras=tuple(_lora(use) for use in body["loras"]),
        parts={slot: _file(file) for slot, file in body["parts"].items()},
        files={name: _file(file) for name, file in body["files"].items()},
        seeds=tuple(body["seeds"]),
        variation_seeds=tuple(body["variation_seeds"]),
        wants_previews=body["wants_previews"],
        user_id=body["user_id"],
    )


def _image_body(image: Picture | Pixels | Clip, blobs: _Blobs) -> Body:
    if isinstance(image, Clip):
        return {"clip": blobs.put(image.data), "width": image.width, "height": image.height, "fps": image.fps}
    if isinstance(image, Pixels):
        return {"pixels": blobs.put(image.data), "width": image.width, "height": image.height, "mode": image.mode}
    return {"picture": blobs.put(image.data), "mime": image.mime, "path": image.path}


def _image(body: Body, blobs: Sequence[bytes]) -> Picture | Pixels | Clip:
    if "clip" in body:
        return Clip(width=body["width"], height=body["height"], fps=body["fps"], data=blobs[body["clip"]])
    if "pixels" in body:
        data = blobs[body["pixels"]]
        return Pixels(width=body["width"], height=body["height"], mode=body["mode"], data=data)
    return _picture(body, blobs)


def _picture(body: Body, blobs: Sequence[bytes]) -> Picture:
    return Picture(data=blobs[body["picture"]], mime=body["mime"], path=body["path"])


def _event_body(event: BackendEvent, blobs: _Blobs) -> Body:
    match event:
        case LoadingModel(name=name):
            return {"event": "loading", "name": name}
        case StepDone():
            fractions = {"overall": event.overall, "current": event.current}
            return {"event": "step", "done": event.done, "total": event.total, **fractions}
        case Preview():
            fractions = {"overall": event.overall, "current": event.current}
            return {"event": "preview", "index": event.index, **fractions, "image": _image_body(event.picture, blobs)}
        case ImageDone():
            image = _image_body(event.result, blobs)
            return {
                "event": "image",
                "index": event.index,
                "image": image,
                "seconds": event.seconds,
                "real": event.real,
            }


def _event(body: Body, blobs: Sequence[bytes]) -> BackendEvent:
    kind = body["event"]
    if kind == "loading":
        return LoadingModel(name=body["name"])
    if kind == "step":
        return StepDone(done=body["done"], total=body["total"], overall=body["overall"], current=body["current"])
    if kind == "preview":
        picture = _picture(body["image"], blobs)
        return Preview(index=body["index"], picture=picture, overall=body["overall"], current=body["current"])
    if kind == "image":
        result = _image(body["image"], blobs)
        return ImageDone(index=body["index"], result=result, seconds=body["seconds"], real=body["real"])
    raise BrokenFrame(f"Unknown event '{kind}'.")


def _body(message: Message, blobs: _Blobs) -> Body:
    match message:
        case Run(job=job):
            return {"kind": "run", "job": _job_body(job, blobs)}
        case Cancel(id=id):
            return {"kind": "cancel", "id": id}
        case Load(model=model):
            return {"kind": "load", "model": _file_body(model)}
        case Free(system_ram=system_ram):
            return {"kind": "free", "system_ram": system_ram}
        case Ping(number=number):
            return {"kind": "ping", "number": number}
        case Ready():
            facts = {"device": message.device, "name": message.name, "memory": message.memory}
            return {"kind": "ready", **facts, "features": list(message.features)}
        case Event(id=id, event=event):
            return {"kind": "event", "id": id, "event": _event_body(event, blobs)}
        case JobDone(id=id):
            return {"kind": "done", "id": id}
        case JobFailed():
            return {"kind": "failed", "id": message.id, "sentence": message.sentence, "reason": message.kind}
        case Loaded(name=name, problem=problem):
            return {"kind": "loaded", "name": name, "problem": problem}
        case Freed(freed=freed):
            return {"kind": "freed", "freed": freed}
        case Pong():
            blocks = {"compiled": message.compiled, "to_compile": message.to_compile}
            return {"kind": "pong", "number": message.number, "beats": message.beats, **blocks}


_READERS: Mapping[str, Callable[[Body, Sequence[bytes]], Message]] = {
    "run": lambda body, blobs: Run(job=_job(body["job"], blobs)),
    "cancel": lambda body, blobs: Cancel(id=body["id"]),
    "load": lambda body, blobs: Load(model=_file(body["model"])),
    "free": lambda body, blobs: Free(system_ram=body["system_ram"]),
    "ping": lambda body, blobs: Ping(number=body["number"]),
    "ready": lambda body, blobs: Ready(
        device=body["device"], name=body["name"], memory=body["memory"], features=tuple(body["features"])
    ),
    "event": lambda body, blobs: Event(id=body["id"], event=_event(body["event"], blobs)),
    "done": lambda body, blobs: JobDone(id=body["id"]),
    "failed": lambda body, blobs: JobFailed(id=body["id"], sentence=body["sentence"], kind=body["reason"]),
    "loaded": lambda body, blobs: Loaded(name=body["name"], problem=body["problem"]),
    "freed": lambda body, blobs: Freed(freed=body["freed"]),
    "pong": lambda body, blobs: Pong(
        number=body["number"], beats=body["beats"], compiled=body["compiled"], to_compile=body["to_compile"]
    ),
}


def encode(message: Message) -> list[bytes]:
    """A message as the pieces of its frame, to be written one after the other (large blobs are not copied)."""
    blobs = _Blobs()
    body = _body(message, blobs)
    header = dumps({**body, "blobs": [len(part) for part in blobs.parts]})
    return [_LENGTH.pack(len(header)) + header, *blobs.parts]


def header_length(start: bytes) -> int:
    """How many header bytes follow the first four bytes of a frame. Raises BrokenFrame if that is absurd."""
    (length,) = _LENGTH.unpack(start)
    if not 2 <= length <= MAX_HEADER:
        raise BrokenFrame(f"A frame header of {length} bytes is not believable.")
    return int(length)


def blob_lengths(header: bytes) -> tuple[Body, list[int]]:
    """The parsed header and the sizes of the blobs behind it. Raises BrokenFrame."""
    try:
        body = loads(header)
    except BadInput as error:
        raise BrokenFrame(f"A frame header is damaged: {error.sentence}") from None
    sizes = body.get("blobs") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(sizes, list) or len(sizes) > MAX_BLOBS:
        raise BrokenFrame("A frame header lacks its list of blobs.")
    if not all(isinstance(size, int) and 0 <= size <= MAX_BLOB for size in sizes):
        raise BrokenFrame("A frame announces a blob of an unbelievable size.")
    return body, sizes


def message_of(body: Body, blobs: Sequence[bytes]) -> Message:
    """The message a frame carries. Raises BrokenFrame."""
    reader = _READERS.get(body.get("kind", ""))
    if reader is None:
        raise BrokenFrame(f"Unknown message '{body.get('kind')}'.")
    try:
        return reader(body, blobs)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BrokenFrame(f"A '{body['kind']}' message is damaged: {error!r}") from None


def read(read_exactly: Callable[[int], bytes]) -> Message:
    """Read one message through a function that returns exactly n bytes (and raises EOFError at the end)."""
    body, sizes = blob_lengths(read_exactly(header_length(read_exactly(_LENGTH.size))))
    return message_of(body, [read_exactly(size) for size in sizes])
