"""Messages survive the trip through their frames, and broken frames are noticed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.jobs.events import ImageDone, LoadingModel, Preview, StepDone
from swarm.jobs.frames import (
    BrokenFrame,
    Cancel,
    Event,
    Free,
    Freed,
    JobDone,
    JobFailed,
    Load,
    Loaded,
    Message,
    Ping,
    Pong,
    Ready,
    Run,
    encode,
    read,
)
from swarm.jobs.job import Job, LoraUse, ModelFile
from swarm.media.image import Picture, Pixels
from swarm.params.input import GenerationInput

texts = st.text(max_size=20)
numbers = st.integers(-(2**53), 2**53)
fractions = st.floats(0, 1)
pictures = st.builds(Picture, data=st.binary(max_size=50), mime=texts, path=st.none() | texts)
pixels = st.builds(Pixels, width=numbers, height=numbers, mode=texts, data=st.binary(max_size=50))
models = st.builds(
    ModelFile,
    name=texts,
    path=st.just(Path("/a/b c.safetensors")),
    family=st.none() | texts,
    stamp=texts,
    prediction=texts,
)
loras = st.builds(LoraUse, file=models, weight=fractions, text_weight=fractions)
values = st.one_of(texts, numbers, fractions, st.booleans(), pictures, st.lists(texts, max_size=3).map(tuple))
inputs = st.builds(
    GenerationInput,
    st.dictionaries(texts, values, max_size=4),
    st.dictionaries(texts, texts, max_size=2),
    st.dictionaries(st.integers(1, 99), st.dictionaries(texts, values, max_size=2), max_size=2),
)
seeds = st.lists(st.integers(0, 2**63 - 1), max_size=3).map(tuple)
jobs = st.builds(
    Job,
    id=texts,
    input=inputs,
    model=st.none() | models,
    loras=st.lists(loras, max_size=2).map(tuple),
    seeds=seeds,
    variation_seeds=seeds,
    wants_previews=st.booleans(),
    user_id=texts,
)
events = st.one_of(
    st.builds(LoadingModel, name=texts),
    st.builds(StepDone, done=numbers, total=numbers, overall=fractions, current=fractions),
    st.builds(Preview, index=numbers, picture=pictures, overall=fractions, current=fractions),
    st.builds(ImageDone, index=numbers, result=pictures | pixels, seconds=fractions, real=st.booleans()),
)
messages = st.one_of(
    st.builds(Run, job=jobs),
    st.builds(Cancel, id=texts),
    st.builds(Load, model=models),
    st.builds(Free, system_ram=st.booleans()),
    st.builds(Ping, number=numbers),
    st.builds(Ready, device=texts, name=texts, memory=numbers, features=st.lists(texts, max_size=3).map(tuple)),
    st.builds(Event, id=texts, event=events),
    st.builds(JobDone, id=texts),
    st.builds(JobFailed, id=texts, sentence=texts, kind=texts),
    st.builds(Loaded, name=texts, problem=st.none() | texts),
    st.builds(Freed, freed=st.booleans()),
    st.builds(Pong, number=numbers, beats=numbers),
)


def read_all(data: bytes) -> list[Message]:
    stream = io.BytesIO(data)

    def exactly(count: int) -> bytes:
        found = stream.read(count)
        if len(found) < count:
            raise EOFError
        return found

    found: list[Message] = []
    while stream.tell() < len(data):
        found.append(read(exactly))
    return found


@given(st.lists(messages, max_size=3))
def test_messages_come_out_as_they_went_in(sent: list[Message]) -> None:
    assert read_all(b"".join(piece for message in sent for piece in encode(message))) == sent


@given(messages, st.integers(1, 30))
def test_half_a_frame_is_an_end_not_a_message(message: Message, missing: int) -> None:
    data = b"".join(encode(message))[:-missing]
    if data:
        with pytest.raises(EOFError):
            read_all(data)


@given(st.binary(min_size=4, max_size=200))
def test_noise_is_never_a_message(data: bytes) -> None:
    with pytest.raises((BrokenFrame, EOFError)):
        read_all(data)


@pytest.mark.parametrize(
    "header",
    [
        b"{}",
        b'{"blobs":[]}',
        b'{"kind":"nonsense","blobs":[]}',
        b'{"kind":"cancel","blobs":[]}',
        b'{"kind":"cancel","id":"a","blobs":[-1]}',
        b'{"kind":"cancel","id":"a","blobs":[99999999999999]}',
        b'{"kind":"event","id":"a","event":{"event":"dance"},"blobs":[]}',
        b"[1]",
        b"not json",
    ],
)
def test_a_header_that_makes_no_sense_is_refused(header: bytes) -> None:
    with pytest.raises(BrokenFrame):
        read_all(len(header).to_bytes(4, "little") + header)


def test_an_absurd_length_is_not_allocated() -> None:
    with pytest.raises(BrokenFrame):
        read_all(b"\xff\xff\xff\xff....")
