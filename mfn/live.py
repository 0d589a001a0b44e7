"""`mfn live`: a camera (or a clip, as if it were one) to VTuber programs, Unreal or a window, with what it costs in time.

Frames are dropped, never queued: a thread reads them and keeps only the newest, which is taken when the last one is
done. Latency is the time from when a frame was read to when its people were sent or shown.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mfn.faces import Faces
from mfn.pictures import Picture
from mfn.steady import Steady

if TYPE_CHECKING:
    from mfn.predictor import Predictor
    from retarget import Rig, Take
    from retarget.stream import Sender

_REPORT_S = 2.0  # between lines where no terminal shows one that changes
_WINDOW_SIDE = 960
_PATIENCE_S = 10.0  # a camera that gives nothing for so long is gone


class Frame(NamedTuple):
    """One picture (H, W, 3) uint8 RGB; number: how many were read before it; time_s: its own time; read_s: when it
    was read, on `time.perf_counter`'s clock."""

    number: int
    time_s: float
    read_s: float
    picture: Picture


class NewestFrame:
    """Reads frames in a thread of its own and keeps the last. `paced`: no faster than their own times say, as a clip
    must be that stands in for a camera."""

    def __init__(self, frames: Iterator[tuple[float, Picture]], paced: bool) -> None:
        self._frames, self._paced = frames, paced
        self._news = threading.Condition()
        self._newest: Frame | None = None
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def after(self, number: int) -> Frame | None:
        """The newest frame as soon as it is a later one than `number`; None once there are no more. What went wrong
        while reading is raised here."""
        with self._news:
            there = self._news.wait_for(
                lambda: self._ended or (self._newest is not None and self._newest.number > number), _PATIENCE_S
            )
            if self._newest is not None and self._newest.number > number:
                return self._newest
            if self._error is not None:
                raise self._error
            if not there:
                raise ValueError(f"no picture came for {_PATIENCE_S:g} s (is the camera in use by another program?)")
            return None

    def stop(self) -> None:
        """End the thread and give the source back."""
        self._stopped = True
        self._thread.join(timeout=2)

    def _read(self) -> None:
        start: float | None = None
        try:
            for number, (time_s, picture) in enumerate(self._frames):
                now = time.perf_counter()
                start = now - time_s if start is None else start
                if self._paced and start + time_s > now:
                    time.sleep(start + time_s - now)
                if self._stopped:
                    break
                with self._news:
                    self._newest = Frame(number, time_s, time.perf_counter(), picture)
                    self._news.notify()
        except BaseException as error:  # said where somebody waits for a frame
            self._error = error
        finally:
            close = getattr(self._frames, "close", None)
            if close is not None:
                close()
            with self._news:
                self._ended = True
                self._news.notify()


class LiveOptions(NamedTuple):
    """to: "vmc", "livelink", "window", one or several; host, port, people, names: as `retarget.stream` has them;
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
    from mfn.scene import find_avatar
    from retarget import load_rig

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
    from mfn.scene import default_focal_px, faces_to_take

    steady, number, start = Steady(), -1, time.perf_counter()
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


class Window:
    """Shows pictures with meshes or characters and the latency in a corner; q, Esc or closing it ends the session."""

    def __init__(self, title: str, rigs: Sequence[Rig] = ()) -> None:
        from mfn.head_model import HeadModel

        needs_display()
        self._title, self._rigs = title, rigs
        self._head_model = None if rigs else HeadModel.load()
        self._opened = False

    def show(self, picture: Picture, faces: Faces, take: Take, focal_px: float, line: str) -> bool:
        """False once the user has had enough."""
        import cv2

        from mfn.draw import draw_faces

        shrink = min(1.0, _WINDOW_SIDE / max(picture.shape[:2]))
        if shrink < 1:
            size = (round(picture.shape[1] * shrink), round(picture.shape[0] * shrink))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
            faces = faces.replace(box=faces.box * shrink, center=faces.center * shrink, scale=faces.scale * shrink)
        if self._rigs:
            from retarget import render_scene

            height, width = picture.shape[:2]
            shown = render_scene(take, self._rigs, width, height, focal_px * shrink, picture)
        else:
            shown = draw_faces(picture, faces, self._head_model)
        write_corner(shown, line)
        try:
            cv2.imshow(self._title, np.ascontiguousarray(shown[:, :, ::-1]))
            key = cv2.waitKey(1) & 0xFF
            closed = self._opened and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:
            raise ValueError(f"this OpenCV cannot open windows (opencv-python-headless?); {_INSTEAD}") from None
        self._opened = True
        return not closed and key not in (27, ord("q"))

    def close(self) -> None:
        """Away with it."""
        import cv2

        if self._opened:
            cv2.destroyAllWindows()


_INSTEAD = "use --to vmc or --to livelink, or mfn animate to write a file"


def needs_display() -> None:
    """ValueError unless a window can be opened here; asked first, because Qt would end the whole process."""
    if not sys.platform.startswith("linux") or os.environ.get("WAYLAND_DISPLAY"):
        return
    display = os.environ.get("DISPLAY", "")
    if not display:
        raise ValueError(f"--to window needs a display, and there is none here (DISPLAY is not set); {_INSTEAD}")
    local = display.partition(":")[2].partition(".")[0] if display.startswith((":", "unix:")) else ""
    if local and not Path(f"/tmp/.X11-unix/X{local}").exists():
        raise ValueError(f"--to window needs a display, and {display} does not answer; {_INSTEAD}")


def write_corner(picture: Picture, text: str) -> None:
    """A line of text into the upper left corner, readable on anything."""
    import cv2

    scale = max(0.4, picture.shape[1] / 1600)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    picture[: 2 * height + 4, : width + 12] //= 3
    at = (6, round(1.5 * height) + 2)
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)


def open_senders(options: LiveOptions) -> list[Sender]:
    """Sockets to the programs asked for; what is wrong with them is said before anything runs."""
    from retarget.stream import PROGRAMS, expressions_for, open_sender

    unknown = [program for program in options.to if program not in (*PROGRAMS, "window")]
    if unknown or not options.to:
        raise ValueError(f"--to {' '.join(unknown) or '(nothing)'}: expected vmc, livelink or window")
    if options.port is not None and {"vmc", "livelink"} <= set(options.to):
        raise ValueError("--port is for one program; vmc and livelink together use their own, 39540 and 11111")
    shown = expressions_for(options.names)
    programs = [program for program in PROGRAMS if program in options.to]
    return [open_sender(program, options.host, options.port, options.people, shown) for program in programs]


def is_camera(source: str) -> bool:
    """Whether a source is a camera's number."""
    return source.isdecimal() and len(source) < 4


def open_source(source: str) -> Iterator[tuple[float, Picture]]:
    """(time in seconds, RGB (H, W, 3)) of a camera's frames or a clip's. The first is asked for here, so that what is
    wrong is said now."""
    from mfn.video import read_frames

    frames = _camera_frames(int(source)) if is_camera(source) else read_frames(source)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{source}: a video without a picture that can be read")

    def chained() -> Iterator[tuple[float, Picture]]:
        yield first
        yield from frames

    return chained()


def _camera_frames(number: int) -> Iterator[tuple[float, Picture]]:
    import cv2

    loudness = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)
    try:
        capture = cv2.VideoCapture(number)
    finally:
        cv2.utils.logging.setLogLevel(loudness)
    try:
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        start = time.perf_counter()
        while True:
            read, frame = capture.read() if capture.isOpened() else (False, None)
            if not read:
                raise ValueError(
                    f"camera {number}: gives no picture (is it there, allowed, and not in use by another program?)"
                )
            yield time.perf_counter() - start, np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
    finally:
        capture.release()
