"""The server's side of an engine process: spawn it, speak frames with it, notice when it dies or hangs, end it.

Knows nothing of torch; only names the module it starts. One instance is one process; after it ended, make a new one.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from subprocess import PIPE
from typing import TypeAlias

import anyio
from anyio.abc import Process, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.memory import MemoryObjectSendStream
from anyio.streams.text import TextReceiveStream

import swarm
from swarm.base.errors import BackendError, BadInput, Crashed, Refused, SwarmError
from swarm.jobs.events import BackendEvent
from swarm.jobs.frames import (
    Answer,
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
    blob_lengths,
    encode,
    header_length,
    message_of,
)
from swarm.jobs.job import Job, ModelFile

logger = logging.getLogger(__name__)

Waiting: TypeAlias = "deque[MemoryObjectSendStream[Answer]]"
_GONE = (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Seconds: for the start (importing torch takes a while), between pings, for an answer to a ping, for the main loop
    to turn while it has work (a large model on a slow disk loads for minutes), and for a polite end."""

    start: float = 300.0
    ping: float = 5.0
    answer: float = 30.0
    turn: float = 1200.0
    end: float = 3.0


class EngineProcess:
    """A running engine. `lost(sentence)` is called once if it ends without having been asked to.

    `blocks`: how many blocks of its models are compiled, and how many are to be, by its last sign of life.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        lost: Callable[[str], None],
        *,
        clock: Callable[[], float],
        patience: Patience | None = None,
    ) -> None:
        self._arguments = tuple(arguments)
        self._lost = lost
        self._clock = clock
        self._patience = patience or Patience()
        self._process: Process | None = None
        self._owner: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[Ready] | None = None
        self._writing = anyio.Lock()
        self._jobs: dict[str, MemoryObjectSendStream[Answer]] = {}
        self._loads: Waiting = deque()
        self._frees: Waiting = deque()
        self._runs = count(1)
        self._last_words: deque[str] = deque(maxlen=20)
        self._ended: str | None = None
        self._stopping = False
        self._heard = 0.0
        self._beats, self._turned = -1, 0.0
        self.blocks = 0, 0

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> Ready:
        """Spawn and wait until it can take jobs. Raises BackendError with a sentence when it cannot start."""
        self._ready = asyncio.get_running_loop().create_future()
        # When the start is given up, nobody asks any more how it went.
        self._ready.add_done_callback(lambda ready: None if ready.cancelled() else ready.exception())
        # The one owner of the process: everything that reads from it lives inside, and stop() waits for it.
        self._owner = asyncio.create_task(self._own())
        try:
            with anyio.fail_after(self._patience.start):
                return await asyncio.shield(self._ready)
        except TimeoutError:
            await self.stop()
            raise BackendError("The engine process did not get ready in time.") from None
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.stop()
            raise

    async def stop(self) -> None:
        """End the process, politely first; jobs it still holds end in Crashed."""
        self._stopping = True
        if self._process is not None and self._process.stdin is not None:
            with suppress(*_GONE):
                await self._process.stdin.aclose()
        if self._owner is None:
            return
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(self._patience.end):
                await asyncio.wait([self._owner])
            self._kill()
            await asyncio.wait([self._owner])

    async def generate(self, job: Job) -> AsyncGenerator[BackendEvent, None]:
        """Run a job; closing the generator cancels it. Raises BadInput, Refused, BackendError or Crashed."""
        # Each run has an id of its own, so that events of a cancelled run cannot be taken for those of the next.
        id = f"{job.id}.{next(self._runs)}"
        sending, receiving = anyio.create_memory_object_stream[Answer](math.inf)
        self._jobs[id] = sending
        over = False
        try:
            await self._write(Run(job=replace(job, id=id)))
            async for answer in receiving:
                over = not isinstance(answer, Event)
                if isinstance(answer, Event):
                    yield answer.event
                elif isinstance(answer, JobFailed):
                    raise _failure(answer)
                elif isinstance(answer, JobDone):
                    return
            over = True
            raise Crashed(self._ended or "The engine process is gone.")
        finally:
            self._jobs.pop(id, None)
            sending.close()
            receiving.close()
            if not over:
                with anyio.CancelScope(shield=True), suppress(Crashed):
                    await self._write(Cancel(id=id))

    async def load(self, model: ModelFile) -> None:
        """Make a model ready. Raises BackendError with the reason."""
        answer = await self._asked(Load(model=model), self._loads)
        if isinstance(answer, Loaded) and answer.problem is not None:
            raise BackendError(answer.problem)

    async def free(self, *, system_ram: bool) -> bool:
        """Unload what is not in use; True if there was something."""
        answer = await self._asked(Free(system_ram=system_ram), self._frees)
        return isinstance(answer, Freed) and answer.freed

    # -- inside ---------------------------------------------------------------------------------------------------

    async def _asked(self, message: Message, waiting: Waiting) -> Answer:
        """Ask something that is answered in order."""
        sending, receiving = anyio.create_memory_object_stream[Answer](1)
        waiting.append(sending)
        with receiving:
            try:
                await self._write(message)
                return await receiving.receive()
            except Crashed:
                sending.close()
                raise
            except anyio.EndOfStream:
                raise Crashed(self._ended or "The engine process is gone.") from None

    async def _write(self, message: Message) -> None:
        """Raises Crashed when the process cannot be written to."""
        if self._process is None or self._process.stdin is None or self._ended is not None:
            raise Crashed(self._ended or "The engine process is not running.")
        pieces = encode(message)
        try:
            async with self._writing:
                # A half-written frame would break the stream for everybody, so cancelling waits for its end.
                with anyio.CancelScope(shield=True):
                    for piece in pieces:
                        await self._process.stdin.send(piece)
        except _GONE:
            raise Crashed(self._ended or "The engine process cannot be reached.") from None

    async def _own(self) -> None:
        """The process's whole life."""
        command = [sys.executable, "-m", "swarm.engine", *self._arguments]
        home = Path(swarm.__file__).parent.parent
        sentence = "The engine process could not be started."
        try:
            # A session of its own: Ctrl-C in the terminal is for the server, which then ends its engines itself.
            self._process = await anyio.open_process(
                command, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=home, start_new_session=True
            )
            self._heard = self._turned = self._clock()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._hear_words)
                tasks.start_soon(self._keep_watch, tasks)
                await self._hear_frames()
                self._kill()
                await self._process.wait()
                tasks.cancel_scope.cancel()
            sentence = self._obituary(self._process.returncode)
        except OSError as error:
            sentence = f"The engine process could not be started: {error.strerror}."
        finally:
            self._kill()
            self._bury(sentence)

    async def _hear_frames(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        stream = BufferedByteReceiveStream(self._process.stdout)
        try:
            while True:
                start = await stream.receive_exactly(4)
                body, sizes = blob_lengths(await stream.receive_exactly(header_length(start)))
                self._hear(message_of(body, [await stream.receive_exactly(size) if size else b"" for size in sizes]))
        except (anyio.IncompleteRead, anyio.EndOfStream, *_GONE):
            return
        except BrokenFrame as error:
            self._last_words.append(str(error))

    def _hear(self, message: Message) -> None:
        self._heard = self._clock()
        match message:
            case Event(id=id) | JobDone(id=id) | JobFailed(id=id):
                if (stream := self._jobs.get(id)) is not None:
                    with suppress(*_GONE):
                        stream.send_nowait(message)
            case Loaded() | Freed():
                waiting = self._loads if isinstance(message, Loaded) else self._frees
                with waiting.popleft() as asker, suppress(*_GONE):
                    asker.send_nowait(message)
            case Pong(beats=beats, compiled=compiled, to_compile=to_compile):
                self.blocks = compiled, to_compile
                if beats != self._beats or not self._jobs:
                    self._beats, self._turned = beats, self._clock()
            case Ready():
                if self._ready is not None and not self._ready.done():
                    self._ready.set_result(message)
            case _:
                raise BrokenFrame(f"An engine does not send {type(message).__name__}.")

    async def _hear_words(self) -> None:
        """Log what it writes to stderr; the last lines explain a crash."""
        assert self._process is not None and self._process.stderr is not None
        rest = ""
        with suppress(*_GONE):
            async for text in TextReceiveStream(self._process.stderr, errors="replace"):
                *lines, rest = (rest + text).split("\n")
                for line in filter(None, map(str.rstrip, lines)):
                    self._last_words.append(line)
                    level, words = _level_of(line)
                    logger.log(level, "engine %s: %s", self.pid, words)

    async def _keep_watch(self, tasks: TaskGroup) -> None:
        """Ping it; kill it when it does not answer, or when its main loop stands still with work to do."""
        for number in count():
            await anyio.sleep(self._patience.ping)
            if not self._writing.locked():  # never wait here for a pipe that a hanging process does not empty
                tasks.start_soon(self._ping, number)
            if self._ready is None or not self._ready.done():
                continue
            now = self._clock()
            if now - self._heard > self._patience.answer or now - self._turned > self._patience.turn:
                self._last_words.append("It did not answer any more and was ended.")
                self._kill()
                return

    async def _ping(self, number: int) -> None:
        with suppress(SwarmError):
            await self._write(Ping(number=number))

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def _obituary(self, code: int | None) -> str:
        said = f" Its last words: {self._last_words[-1]}" if self._last_words and not self._stopping else ""
        return "The engine was stopped." if self._stopping else f"The engine process ended (exit code {code}).{said}"

    def _bury(self, sentence: str) -> None:
        """Tell everybody who waits."""
        self._ended = sentence
        for stream in [*self._jobs.values(), *self._loads, *self._frees]:
            stream.close()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(BackendError(sentence))
        elif not self._stopping:
            self._lost(sentence)


def _failure(answer: JobFailed) -> SwarmError:
    """The error a failed job raises here."""
    kinds = {"bad_input": BadInput, "refused": Refused}
    return kinds[answer.kind](answer.sentence) if answer.kind in kinds else BackendError(answer.sentence)


def _level_of(line: str) -> tuple[int, str]:
    """How important a line of the engine's log is, and what it says; lines without a level are information."""
    level, _, words = line.partition(" ")
    known = logging.getLevelNamesMapping().get(level)
    return (logging.INFO, line) if known is None else (known, words)
