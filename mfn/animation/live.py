"""Drive VTuber programs, Unreal or a preview window from a camera, or from a clip at its own speed.

Frames are dropped, never queued: a thread reads them and keeps only the newest one. Latency is the time from reading a
frame to sending or showing its people.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mfn.animation.bridge import faces_to_take
from mfn.animation.preview_window import PreviewWindow
from mfn.inference.predictor import Predictor
from mfn.inference.readers.frame_memory import FrameMemory
from mfn.video.shots import CutWatch
from mfn.video.tracking.online_tracker import Tracker
from mfn.video.webcam import NewestFrame, is_camera, open_source
from retarget.geometry.weak_perspective import default_focal_px
from retarget.io.suggest import did_you_mean
from retarget.performance.calibrate import StreamCalibration
from retarget.performance.stream import PROGRAMS, avatar_for, open_sender
from retarget.performance.udp import Sender
from retarget.rig.avatars import find_avatar
from retarget.rig.load import load_rig

WINDOW = "window"
TARGETS = (*PROGRAMS, WINDOW)

_REPORT_INTERVAL_S = 2.0  # where stderr is no terminal
_RATE_FRAMES = 31  # frames that the frame rate is measured over
_LATENCY_FRAMES = 15  # frames that the present latency is the median of


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """Where live performances are sent."""

    to: Sequence[str] = (WINDOW,)
    """One or several of `TARGETS`."""
    host: str = "127.0.0.1"
    """Machine that runs the program."""
    port: int | None = None
    """Port of the program. None: the usual one."""
    people: int = 1
    """VMC and iFacialMocap: number of people sent, each to a port of their own."""
    names: str = "vrm0"
    """VMC: which names the expressions have (see `retarget.performance.stream.avatar_for`)."""
    avatars: Sequence[str] = ()
    """Characters shown in the window. Empty: meshes of the faces."""
    background: tuple[int, int, int] | None = None
    """Color behind the characters in the window, RGB from 0 to 255. None: the camera's picture."""
    seconds: float | None = None
    """When to stop. None: never."""
    quiet: bool = False
    """Print no figures."""


def live(predictor: Predictor, source: str, options: LiveOptions) -> None:
    """Run until the source ends, the window is closed, the time is up, or Ctrl-C.

    Args:
        predictor: Detects the faces.
        source: Number of a camera, or a video file.
        options: Where to send the people to.

    Raises:
        ValueError: An option is wrong, or the source delivers no image.
    """
    rigs = [load_rig(find_avatar(name)) for name in options.avatars]
    window = PreviewWindow(f"mfn live {source}", rigs, options.background) if WINDOW in options.to else None
    senders = open_senders(options)
    frames = None
    predictor(np.zeros((64, 64, 3), np.uint8), video=True)  # the first call is slow
    statistics = LiveStatistics(quiet=options.quiet)
    try:
        frames = NewestFrame(open_source(source), paced=not is_camera(source))
        neutral_asked = threading.Event()
        if sys.stdin is not None and sys.stdin.isatty():
            threading.Thread(target=_listen, args=(neutral_asked,), daemon=True).start()
        _run(_Session(predictor, frames, senders, window, statistics, neutral_asked), options.seconds)
    except KeyboardInterrupt:
        pass  # the usual end of a live session
    finally:
        if frames is not None:
            frames.stop()
        for sender in senders:
            sender.close()
        if window is not None:
            window.close()
    statistics.print_summary()


@dataclass(frozen=True)
class _Session:
    """What a live session works with."""

    predictor: Predictor
    frames: NewestFrame
    senders: Sequence[Sender]
    window: PreviewWindow | None
    statistics: LiveStatistics
    neutral_asked: threading.Event  # set when the user types n


def _listen(neutral_asked: threading.Event) -> None:
    """Wait for lines of the terminal, and set the event when one is n."""
    for line in sys.stdin:
        if line.strip().lower() == "n":
            neutral_asked.set()


def _run(session: _Session, seconds: float | None) -> None:
    """Process the newest frame, again and again."""
    tracker, calibration, number = Tracker(reuse=True), StreamCalibration(), -1
    memory, cuts = FrameMemory(), CutWatch()
    until_s = np.inf if seconds is None else time.perf_counter() + seconds
    while (left_s := until_s - time.perf_counter()) > 0:
        frame = session.frames.after(number, left_s)
        if frame is None:
            return
        if cuts.is_cut(frame.picture):
            memory = FrameMemory()
            if session.frames.paced and cuts.is_sure():  # a camera has no cuts: somebody switched the light
                tracker.cut()
        faces = tracker.update(session.predictor(frame.picture, video=True, memory=memory), frame.time_s)
        size = (frame.picture.shape[1], frame.picture.shape[0])
        focal_px = default_focal_px(*size)
        take = calibration.update(faces_to_take(faces, size, focal_px, np.array([frame.time_s])))
        for sender in session.senders:
            sender.send(take)
        window, line = session.window, f"{session.statistics.line()}; n: this is my neutral face, q: end"
        if window is not None and not window.show(frame.picture, faces, take, focal_px, line):
            return
        if session.neutral_asked.is_set() or (window is not None and window.take_neutral_request()):
            session.neutral_asked.clear()
            calibration.set_neutral()
        session.statistics.add(time.perf_counter() - frame.read_s, frame.number - number - 1, len(faces))
        number = frame.number


class LiveStatistics:
    """Measure latency, frame rate and dropped frames, and print them.

    In a terminal one line changes with every frame. Otherwise a line is printed every two seconds.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.latencies_s: list[float] = []
        self.dropped = 0
        self._ends_s: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._people = 0
        self._quiet, self._printed_s = quiet, time.perf_counter()

    def add(self, latency_s: float, dropped: int, people: int) -> None:
        """Count a finished frame.

        Args:
            latency_s: Time from reading it to sending its people, seconds.
            dropped: Number of frames dropped since the last one.
            people: Number of people in it.
        """
        self.latencies_s.append(latency_s)
        self._ends_s.append(time.perf_counter())
        self.dropped, self._people = self.dropped + dropped, people
        if self._quiet:
            return
        if sys.stderr.isatty():
            print(f"\r{self.line():79}", end="", file=sys.stderr, flush=True)
        elif time.perf_counter() - self._printed_s > _REPORT_INTERVAL_S:
            self._printed_s = time.perf_counter()
            print(self.line(), file=sys.stderr, flush=True)

    def line(self) -> str:
        """Return the figures of the last second or so."""
        if not self.latencies_s:
            return "starting"
        spent_s = self._ends_s[-1] - self._ends_s[0]
        rate = f"{(len(self._ends_s) - 1) / spent_s:.0f} frames/s" if spent_s > 0 else "-"
        recent_ms = float(np.median(self.latencies_s[-_LATENCY_FRAMES:])) * 1e3
        faces = "1 face" if self._people == 1 else f"{self._people} faces"
        return f"latency {recent_ms:.0f} ms, {rate}, {faces}, {self.dropped} dropped"

    def print_summary(self) -> None:
        """Print one line about the whole session."""
        if self._quiet:
            return
        if sys.stderr.isatty():
            print(file=sys.stderr)
        if not self.latencies_s:
            print("no frames")
            return
        median_ms, slow_ms = np.percentile(self.latencies_s, (50, 95)) * 1e3
        count = len(self.latencies_s)
        print(f"{count} frames, {self.dropped} dropped; latency {median_ms:.0f} ms (median), {slow_ms:.0f} ms (95 %)")


def open_senders(options: LiveOptions) -> list[Sender]:
    """Open the connections to the programs of `options.to`.

    Raises:
        ValueError: The options contradict each other, or a name is unknown.
    """
    unknown = [program for program in options.to if program not in TARGETS]
    if unknown or not options.to:
        hint = did_you_mean(unknown[0], TARGETS) if unknown else ""
        raise ValueError(f"--to {' '.join(unknown) or '(nothing)'}: expected {', '.join(PROGRAMS)} or {WINDOW}{hint}")
    if options.port is not None and len(set(options.to) - {WINDOW}) > 1:
        raise ValueError("--port is for one program; several use their own: 39540 (vmc), 11111 (livelink), 49983 (ifacialmocap)")
    if options.seconds is not None and not options.seconds > 0:
        raise ValueError(f"--seconds {options.seconds:g}: expected more than 0")
    avatar = avatar_for(options.names)
    programs = [program for program in PROGRAMS if program in options.to]
    return [open_sender(program, options.host, options.port, options.people, avatar) for program in programs]
