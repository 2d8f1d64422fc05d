"""A request as the bytes its rows share, and back to one task's plan: what a restarted server needs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Any

from swarm.base.json import dumps, loads
from swarm.generation.plan import Moment, Plan, with_seed_of
from swarm.params.codec import decode_input, encode_input
from swarm.params.input import GenerationInput
from swarm.queue.jobs import NewJob

_HEADER_LENGTH = 4


def rows_of(
    planned: Sequence[Plan], input: GenerationInput, *, offset: int, session_id: str, user_id: str
) -> list[NewJob]:
    """The rows of a request. They share one body; a task's own seed follows from its index."""
    if not planned:
        return []
    body = _encode(planned[0], input, offset)
    return [
        NewJob(
            id=plan.id,
            session_id=session_id,
            user_id=user_id,
            request_id=str(plan.request_id),
            index=plan.index,
            body=body,
        )
        for plan in planned
    ]


def _encode(first: Plan, input: GenerationInput, offset: int) -> bytes:
    """Four bytes of header length, a JSON header, then the pictures of the input one after another."""
    input_header, blobs = encode_input(input)
    header = dumps(
        {
            "offset": offset,
            "batch": first.batch,
            "request_id": first.request_id,
            "time": first.moment.time.isoformat(),
            "count": first.moment.count,
            "input": input_header,
            "sizes": [len(blob) for blob in blobs],
        }
    )
    return b"".join([len(header).to_bytes(_HEADER_LENGTH, "little"), header, *blobs])


def decode_plan(job_id: str, index: int, body: bytes) -> Plan:
    """The plan of the row `job_id` with batch index `index`. Raises ValueError or KeyError when the body is damaged."""
    end = _HEADER_LENGTH + int.from_bytes(body[:_HEADER_LENGTH], "little")
    header: Any = loads(body[_HEADER_LENGTH:end])
    edges = accumulate(header["sizes"], initial=end)
    blobs = [body[start:stop] for start, stop in pairwise(edges)]
    return Plan(
        id=job_id,
        index=index,
        batch=header["batch"],
        input=with_seed_of(decode_input(header["input"], blobs), index - header["offset"]),
        request_id=header["request_id"],
        moment=Moment(time=datetime.fromisoformat(header["time"]), count=header["count"]),
    )
