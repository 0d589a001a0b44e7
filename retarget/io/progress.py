"""Long work: its progress on stderr, and Ctrl-C that loses none of it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_CLEAR_LINE = "\r\x1b[K"


class Progress:
    """Progress bar and status line of one command, on stderr. Use it in a `with` statement, which removes them at its end.

    Nothing is shown where stderr is no terminal, or where `quiet` is set. Notes are shown where stderr is no terminal, too.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._shown = not quiet and sys.stderr.isatty()
        self._bar: Any = None
        self._unit = ""
        self._status = False

    def stage(self, text: str) -> None:
        """Show a status line, such as "writing crowd.glb", until the next stage or the first step of a bar."""
        if self._shown:
            self._clear()
            print(f"{text} ...", end="", file=sys.stderr, flush=True)
            self._status = True

    def note(self, text: str) -> None:
        """Print a line that stays."""
        if not self._quiet:
            self._clear()
            print(f"note: {text}", file=sys.stderr)

    def bar(self, unit: str) -> Callable[[int, int], None]:
        """Return a callback that draws a progress bar.

        Args:
            unit: What is counted, such as "frames".

        Returns:
            A function of the number of finished items and their total, which is 0 where it is unknown.
        """

        def show(done: int, total: int) -> None:
            if not self._shown:
                return
            if self._bar is None or self._unit != unit:
                from tqdm import tqdm

                self._clear()
                self._bar, self._unit = tqdm(total=total or None, unit=f" {unit}", leave=False), unit
            self._bar.update(done - self._bar.n)

        return show

    def _clear(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._status:
            print(_CLEAR_LINE, end="", file=sys.stderr, flush=True)
            self._status = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._clear()


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
