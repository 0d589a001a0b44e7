"""Ctrl-C that loses no work."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class GracefulInterrupt:
    """Turn Ctrl-C into a request that the running work asks for when it is safe to stop.

    Use it in a `with` statement. A second Ctrl-C before the first was noticed raises KeyboardInterrupt at once. In
    other threads than the main one, which receive no signals, nothing changes.
    """

    def __init__(self) -> None:
        self._requested = False
        self._previous: Any = None

    def take_request(self) -> bool:
        """Return whether Ctrl-C was pressed since the last call."""
        requested, self._requested = self._requested, False
        return requested

    def __enter__(self) -> GracefulInterrupt:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._requested:
            raise KeyboardInterrupt
        self._requested = True
