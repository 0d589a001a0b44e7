"""Read the parts of a job in processes of this machine, without Ray.

A process that dies, because of a damaged file or for lack of memory, is replaced. Its part is read again. A picture that ends
two processes, or takes too long, becomes a failure and is not tried again. If processes die before they begin a picture, the job ends.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from mfn.batch.engines.worker import PartReader, Reading
from mfn.batch.tables.job import Part, PartCount
from retarget.io.files import one_line_error

TIMEOUT_S = 300.0
"""Longest time for one picture."""
_DEATHS = 2  # of a process at one picture, until the picture is taken for the cause
_POLL_S = 0.5
_GO_ON = "what is done stays, --resume goes on"


@dataclass
class _Worker:
    """A process, its connection, and what it reads: the part, the place of the picture in it, and since when."""

    process: BaseProcess
    connection: Connection
    part: Part | None = None
    place: int = -1
    since: float = field(default_factory=time.monotonic)


@dataclass
class _State:
    """What a run has left to do, and which processes died.

    Attributes:
        waiting: The parts that no worker has.
        fatal: Number of a part -> place of a picture in it -> why it is not tried again.
        deaths: Number of a part and place of a picture -> how many processes died there.
        failed_starts: Number of a worker -> how many of its processes died at start in a row, since any worker last reported.
    """

    waiting: deque[Part]
    fatal: dict[int, dict[int, str]] = field(default_factory=dict)
    deaths: dict[tuple[int, int], int] = field(default_factory=dict)
    failed_starts: dict[int, int] = field(default_factory=dict)

    def note_death(self, number: int, worker: _Worker, reason: str) -> None:
        """Note the death of a worker, and let its part wait again.

        Args:
            number: Number of the worker.
            worker: Its process, which has ended.
            reason: Why it was ended, or ended by itself.

        Raises:
            ValueError: It died at start, as the one before it.
        """
        part, place = worker.part, worker.place
        if part is not None:
            self.waiting.appendleft(part)
        if place < 0:
            self.failed_starts[number] = self.failed_starts.get(number, 0) + 1
            if self.failed_starts[number] >= _DEATHS:
                code = worker.process.exitcode
                raise ValueError(f"a worker ends while it starts (exit code {code}); use fewer --workers if memory is short; {_GO_ON}")
        elif part is not None:
            self.deaths[part.number, place] = self.deaths.get((part.number, place), 0) + 1
            if self.deaths[part.number, place] >= _DEATHS or "seconds" in reason:
                self.fatal.setdefault(part.number, {})[place] = reason


@dataclass
class ProcessPool:
    """Processes that read the parts of a job.

    Attributes:
        reading: How pictures are read.
        workers: Number of processes.
        timeout_s: Longest time for one picture.
        on_picture: Called when a picture is begun; for progress.
    """

    reading: Reading
    workers: int
    timeout_s: float = TIMEOUT_S
    on_picture: Callable[[], object] = field(default=lambda: None)

    def run(self, parts: Sequence[Part]) -> Iterator[PartCount]:
        """Read parts and yield what each has, in the order in which they are finished.

        Raises:
            ValueError: A worker reports an error that is not a picture's fault, such as a full disk, or workers end while they start.
        """
        state = _State(deque(parts))
        workers = [self._start() for _ in range(min(self.workers, len(parts)))]
        try:
            while state.waiting or any(worker.part for worker in workers):
                for worker in workers:
                    if worker.part is None and state.waiting:
                        self._give(worker, state.waiting.popleft(), state.fatal)
                for worker in self._ready(workers):
                    yield from self._receive(worker, state)
                for place, worker in enumerate(workers):
                    reason = self._reason_to_replace(worker)
                    if reason:
                        _end(worker)
                        state.note_death(place, worker, reason)
                        workers[place] = self._start()
        finally:
            for worker in workers:
                _end(worker)

    def _start(self) -> _Worker:
        context = get_context("spawn")  # a copy of a process that runs ONNX Runtime would hang
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self.reading), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _give(self, worker: _Worker, part: Part, fatal: dict[int, dict[int, str]]) -> None:
        worker.part, worker.place, worker.since = part, -1, time.monotonic()
        with suppress(OSError):  # a worker that died before its first part is replaced soon
            worker.connection.send((part, fatal.get(part.number, {})))

    def _ready(self, workers: Sequence[_Worker]) -> list[_Worker]:
        by_connection = {worker.connection: worker for worker in workers}
        return [by_connection[c] for c in wait(list(by_connection), _POLL_S)]  # type: ignore[index]  # only connections wait here

    def _receive(self, worker: _Worker, state: _State) -> Iterator[PartCount]:
        """Take the messages of a worker: the place of a picture that it begins, or a finished part."""
        try:
            while worker.connection.poll():
                message: Any = worker.connection.recv()
                state.failed_starts.clear()
                if isinstance(message, PartCount):
                    worker.part = None
                    yield message
                elif isinstance(message, str):
                    raise ValueError(f"a worker stopped ({message}); {_GO_ON}")
                else:
                    worker.place, worker.since = int(message), time.monotonic()
                    self.on_picture()
        except (EOFError, ConnectionError):
            worker.process.join(1)

    def _reason_to_replace(self, worker: _Worker) -> str:
        """Return why a worker has to be replaced, or ""."""
        if worker.process.exitcode is not None:
            return f"it ended the process that read it (exit code {worker.process.exitcode}): damaged, or not enough memory"
        if worker.part is not None and worker.place >= 0 and time.monotonic() - worker.since > self.timeout_s:
            return f"it took more than {self.timeout_s:g} seconds (--timeout)"
        return ""


def serve(connection: Connection, reading: Reading) -> None:
    """Read the parts that arrive, until the connection closes. This is what a worker process runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the command, which ends its workers
    try:
        reader = PartReader(reading, connection.send)
        while True:
            part, fatal = connection.recv()
            connection.send(reader.read(part, fatal))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the command has ended
        return
    except Exception as error:
        connection.send(f"{type(error).__name__}: {one_line_error(error)}")


def _end(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.connection.close()
