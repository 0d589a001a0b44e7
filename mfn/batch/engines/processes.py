"""Read the parts of a job in processes of this machine, without Ray.

A process that dies, because of a damaged file or for lack of memory, is replaced. Its part is read again. A picture that ends
two processes, or takes too long, becomes a failure and is not tried again.
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

TIMEOUT_S = 300.0
"""Longest time for one picture."""
_DEATHS = 2  # of a process at one picture, until the picture is taken for the cause
_POLL_S = 0.5


@dataclass
class _Worker:
    """A process, its connection, and what it reads: the part, the place of the picture in it, and since when."""

    process: BaseProcess
    connection: Connection
    part: Part | None = None
    place: int = -1
    since: float = field(default_factory=time.monotonic)


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
            RuntimeError: A worker reports an error that is not a picture's fault, such as a full disk.
        """
        waiting, fatal, deaths = deque(parts), dict[int, dict[int, str]](), dict[tuple[int, int], int]()
        workers = [self._start() for _ in range(min(self.workers, len(parts)))]
        try:
            while waiting or any(worker.part for worker in workers):
                for worker in workers:
                    if worker.part is None and waiting:
                        self._give(worker, waiting.popleft(), fatal)
                for worker in self._ready(workers):
                    yield from self._receive(worker)
                for i, worker in enumerate(workers):
                    reason = self._reason_to_replace(worker)
                    if reason:
                        part, place = worker.part, worker.place
                        _end(worker)
                        workers[i] = self._start()
                        if part is not None:
                            deaths[part.number, place] = deaths.get((part.number, place), 0) + 1
                            if place >= 0 and (deaths[part.number, place] >= _DEATHS or "seconds" in reason):
                                fatal.setdefault(part.number, {})[place] = reason
                            waiting.appendleft(part)
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

    def _receive(self, worker: _Worker) -> Iterator[PartCount]:
        """Take the messages of a worker: the place of a picture that it begins, or a finished part."""
        try:
            while worker.connection.poll():
                message: Any = worker.connection.recv()
                if isinstance(message, PartCount):
                    worker.part = None
                    yield message
                elif isinstance(message, str):
                    raise RuntimeError(message)
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
        connection.send(f"{type(error).__name__}: {error}")


def _end(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.connection.close()
