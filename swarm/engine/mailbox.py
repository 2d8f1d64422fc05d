"""Frames in and out, on threads of their own: messages wait here for the main loop, answers for the pipe. No torch."""

from __future__ import annotations

import queue
from typing import BinaryIO

from swarm.jobs.frames import Answer, Cancel, Free, Load, Ping, Pong, Request, Run, encode, read


class Mailbox:
    """What the threads share: messages in, answers out, cancelled job ids, how often the main loop has turned, and how
    many blocks are compiled and are to be."""

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self.outbox: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        self.cancelled: set[str] = set()
        self.beats = 0
        self.blocks = 0, 0

    def read_from(self, stream: BinaryIO) -> None:
        """Reader thread: until the stream ends."""

        def exactly(count: int) -> bytes:
            data = stream.read(count)
            if len(data) < count:
                raise EOFError
            return data

        while True:
            try:
                message = read(exactly)
            except EOFError:
                return
            match message:
                case Ping(number=number):
                    ready, waiting = self.blocks
                    self.outbox.put(Pong(number=number, beats=self.beats, compiled=ready, to_compile=waiting))
                case Cancel(id=id):
                    self.cancelled.add(id)
                    self.inbox.put(message)
                case Run() | Load() | Free():
                    self.inbox.put(message)

    def write_to(self, stream: BinaryIO) -> None:
        """Writer thread: until None is put into the outbox."""
        while (answer := self.outbox.get()) is not None:
            for piece in encode(answer):
                stream.write(piece)
            stream.flush()
