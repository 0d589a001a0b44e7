"""`mfn live`: a camera (or a clip, as if it were one) to VTuber programs, Unreal or a window, with what it costs in time.

Frames are dropped, never queued: a thread reads them and keeps only the newest, which is taken when the last one is
done. Latency is the time from when a frame was read to when its people were sent or shown.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mfn.animation.preview_window import Window
from mfn.video.online_tracker import OnlineTracker
from mfn.video.webcam import NewestFrame, is_camera, open_source

if TYPE_CHECKING:
    from mfn.inference.predictor import Predictor
    from retarget.performance.udp import Sender

_REPORT_S = 2.0  # between lines where no terminal shows one that changes


class LiveOptions(NamedTuple):
    """to: "vmc", "livelink", "window", one or several; host, port, people, names: as `retarget.performance.stream` has them;
    avatars: characters in the window instead of meshes; seconds: when to stop, None for never."""

    to: Sequence[str] = ("window",)
    host: str = "127.0.0.1"
    port: int | None = None
    people: int = 1
    names: str = "vrm0"
    avatars: Sequence[str] = ()
    seconds: float | None = None
    quiet: bool = False


def live(predictor: Predictor, source: str, options: LiveOptions) -> int:
    """Runs until the source ends, the window is closed, the time is up or Ctrl-C. -> exit code"""
    from retarget import load_rig
    from retarget.rig.avatars import find_avatar

    rigs = [load_rig(find_avatar(name)) for name in options.avatars]
    window = Window(f"mfn live {source}", rigs) if "window" in options.to else None
    senders = open_senders(options)
    frames = None
    predictor(np.zeros((64, 64, 3), np.uint8))  # its first call is slow
    report = Report(quiet=options.quiet)
    try:
        frames = NewestFrame(open_source(source), paced=not is_camera(source))
        _run(predictor, frames, senders, window, report, options.seconds)
    except KeyboardInterrupt:
        pass  # how a live session ends
    finally:
        if frames is not None:
            frames.stop()
        for sender in senders:
            sender.close()
        if window is not None:
            window.close()
    report.summary()
    return 0


def _run(
    predictor: Predictor,
    frames: NewestFrame,
    senders: Sequence[Sender],
    window: Window | None,
    report: Report,
    seconds: float | None,
) -> None:
    from mfn.animation.bridge import default_focal_px, faces_to_take

    steady, number, start = OnlineTracker(), -1, time.perf_counter()
    while seconds is None or time.perf_counter() - start < seconds:
        frame = frames.after(number)
        if frame is None:
            return
        faces = steady(predictor(frame.picture), frame.time_s)
        size = (frame.picture.shape[1], frame.picture.shape[0])
        focal_px = default_focal_px(*size)
        take = faces_to_take(faces, size, focal_px, np.array([frame.time_s]))
        for sender in senders:
            sender.send(take)
        if window is not None and not window.show(frame.picture, faces, take, focal_px, report.line()):
            return
        report.add(time.perf_counter() - frame.read_s, frame.number - number - 1, len(faces))
        number = frame.number


class Report:
    """What it costs: latency, rate, frames dropped; a line that changes in a terminal, otherwise now and then one."""

    def __init__(self, quiet: bool = False) -> None:
        self.latencies_s: list[float] = []
        self.dropped = 0
        self._ends: deque[float] = deque(maxlen=31)
        self._people = 0
        self._quiet, self._said = quiet, time.perf_counter()

    def add(self, latency_s: float, dropped: int, people: int) -> None:
        """A frame is done."""
        self.latencies_s.append(latency_s)
        self._ends.append(time.perf_counter())
        self.dropped, self._people = self.dropped + dropped, people
        if self._quiet:
            return
        if sys.stderr.isatty():
            print(f"\r{self.line():79}", end="", file=sys.stderr, flush=True)
        elif time.perf_counter() - self._said > _REPORT_S:
            self._said = time.perf_counter()
            print(self.line(), file=sys.stderr, flush=True)

    def line(self) -> str:
        """The state of the last second or so."""
        if not self.latencies_s:
            return "starting"
        spent = self._ends[-1] - self._ends[0]
        rate = f"{(len(self._ends) - 1) / spent:.0f} frames/s" if spent > 0 else "-"
        recent = float(np.median(self.latencies_s[-15:])) * 1e3
        faces = "1 face" if self._people == 1 else f"{self._people} faces"
        return f"latency {recent:.0f} ms, {rate}, {faces}, {self.dropped} dropped"

    def summary(self) -> None:
        """The whole session in a line on stdout."""
        if self._quiet:
            return
        if sys.stderr.isatty():
            print(file=sys.stderr)
        if not self.latencies_s:
            print("no frames")
            return
        middle, slow = np.percentile(self.latencies_s, (50, 95)) * 1e3
        count = len(self.latencies_s)
        print(f"{count} frames, {self.dropped} dropped; latency {middle:.0f} ms (median), {slow:.0f} ms (95 %)")


def open_senders(options: LiveOptions) -> list[Sender]:
    """Sockets to the programs asked for; what is wrong with the options is said before anything runs."""
    from retarget.performance.stream import PROGRAMS, expressions_for, open_sender

    unknown = [program for program in options.to if program not in (*PROGRAMS, "window")]
    if unknown or not options.to:
        raise ValueError(f"--to {' '.join(unknown) or '(nothing)'}: expected vmc, livelink or window")
    if options.port is not None and {"vmc", "livelink"} <= set(options.to):
        raise ValueError("--port is for one program; vmc and livelink together use their own, 39540 and 11111")
    if options.seconds is not None and not options.seconds > 0:
        raise ValueError(f"--seconds {options.seconds:g}: expected more than 0")
    shown = expressions_for(options.names)
    programs = [program for program in PROGRAMS if program in options.to]
    return [open_sender(program, options.host, options.port, options.people, shown) for program in programs]
