"""`mfn live`: newest frame only, one line when there is no camera or display, packets that arrive."""

import socket
import threading
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mfn.animation import preview_window as window
from mfn.animation.live import LiveStatistics
from mfn.animation.preview_window import PreviewWindow, check_display
from mfn.cli.main import main
from mfn.video import webcam as capture
from mfn.video.webcam import Frame, NewestFrame, is_camera


def ticks(count, then=None):
    for k in range(count):
        yield k * 0.01, np.full((2, 2, 3), k, np.uint8)
    if then is not None:
        then.wait(20)


def test_only_the_newest_frame_is_kept():
    """Whoever comes late finds the last frame and nothing of what was before it; then there is no more."""
    go = threading.Event()
    frames = NewestFrame(ticks(60, go), paced=False)
    while frames._newest is None or frames._newest.number < 59:
        time.sleep(0.01)
    frame = frames.after(-1)
    assert frame.number == 59 and frame.picture[0, 0, 0] == 59 and frame.time_s == 0.59
    go.set()
    assert frames.after(59) is None


def test_a_clip_keeps_its_own_time():
    start, frames, number = time.perf_counter(), NewestFrame(ticks(30), paced=True), -1
    while (frame := frames.after(number)) is not None:
        assert frame.number > number and frame.read_s - start >= frame.time_s - 0.01
        number = frame.number
    assert number == 29


def test_what_goes_wrong_while_reading_is_raised_where_it_is_waited_for():
    def broken():
        yield from ticks(2)
        raise ValueError("camera 3: unplugged")

    frames = NewestFrame(broken(), paced=False)
    with pytest.raises(ValueError, match="unplugged"):
        for number in (-1, 0, 1):
            frames.after(number)


def test_stop_gives_the_source_back():
    given_back = threading.Event()

    def endless():
        try:
            while True:
                yield 0.0, np.zeros((2, 2, 3), np.uint8)
        finally:
            given_back.set()

    frames = NewestFrame(endless(), paced=False)
    assert isinstance(frames.after(-1), Frame)
    frames.stop()
    assert given_back.wait(2)


def test_a_camera_that_says_nothing(monkeypatch):
    monkeypatch.setattr(capture, "_TIMEOUT_S", 0.05)
    go = threading.Event()
    frames = NewestFrame(ticks(0, go), paced=False)
    with pytest.raises(ValueError, match=r"no picture came for 0\.05 s"):
        frames.after(-1)
    go.set()


def test_livelink_packets_arrive(clip, spots, capsys):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        port = str(receiver.getsockname()[1])
        arguments = ["live", clip, "--to", "livelink", "--port", port, "--seconds", "0.3"]
        assert main([*arguments, "--weights", str(spots), "--size", "640x384"]) == 0
        data = receiver.recv(2048)
    assert data[0] == 6 and b"mfn 0" in data and len(data) == 311
    out = capsys.readouterr().out
    assert "frames, " in out and "latency" in out and out.count("\n") == 1


def test_vmc_and_seconds(clip, spots, capsys):
    pytest.importorskip("pythonosc")
    arguments = ["live", clip, "--to", "vmc", "--seconds", "0.2", "--weights", str(spots), "--size", "640x384"]
    start = time.perf_counter()
    assert main([*arguments, "--port", "39999", "--names", "arkit"]) == 0
    assert time.perf_counter() - start < 30 and "latency" in capsys.readouterr().out


def test_window(clip, spots, head_model, monkeypatch):
    """What would be on screen: the picture with a mesh, and a line in the corner; q ends it."""
    shown = []
    monkeypatch.setattr(window, "check_display", lambda: None)
    fake = SimpleNamespace(**{name: getattr(cv2, name) for name in dir(cv2) if not name.startswith("__")})
    fake.imshow = lambda title, picture: shown.append(picture)
    fake.waitKey = lambda ms: ord("q")
    fake.getWindowProperty = lambda title, what: 1.0
    fake.destroyAllWindows = lambda: None
    monkeypatch.setitem(__import__("sys").modules, "cv2", fake)
    assert main(["live", clip, "--weights", str(spots), "--size", "640x384", "--quiet"]) == 0
    assert len(shown) == 1 and shown[0].shape == (384, 640, 3)
    assert (shown[0][:20, :100] > 200).any() and shown[0][350:, 500:].max() < 100
    assert not np.array_equal(shown[0][90:110, 170:190], np.full((20, 20, 3), 255))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["live", "99"], "camera 99: gives no picture"),
        (["live", "none.mp4"], "none.mp4: no such file"),
        (["live", "empty.mp4"], "empty.mp4: empty file"),
        (["live", "99", "--to", "window"], "needs a display"),
        (["live", "99", "--to", "obs"], "--to obs: expected vmc, livelink or window"),
        (["live", "99", "--to", "vmc", "livelink", "--port", "5"], "--port is for one program"),
        (["live", "99", "--to", "vmc", "--port", "70000"], "ports up to 65535"),
        (["live", "99", "--to", "vmc", "--seconds", "0"], "--seconds 0: expected more than 0"),
        (["live", "99", "--to", "vmc", "--names", "vrm9"], "expected vrm0, vrm1, arkit or an avatar"),
        (["live", "99", "--to", "livelink", "--host", "no such host"], "no such host"),
    ],
)
def test_one_line(arguments, message, spots, tmp_path, monkeypatch, capfd):
    pytest.importorskip("pythonosc")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    (tmp_path / "empty.mp4").touch()
    if "--to" not in arguments:
        arguments = [*arguments, "--to", "vmc"]
    assert main([*arguments, "--weights", str(spots), "--size", "640x384", "--quiet"]) == 1
    err = capfd.readouterr().err
    assert message in err and err.count("\n") == 1 and err.startswith("mfn: ")


def test_display(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":4711")
    with pytest.raises(ValueError, match=":4711 does not answer"):
        check_display()
    monkeypatch.setenv("DISPLAY", "far.away:0")
    check_display()
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.delenv("DISPLAY")
    check_display()
    assert is_camera("0") and is_camera("12") and not is_camera("0.mp4") and not is_camera("20260101")


def test_report(capsys):
    report = LiveStatistics()
    assert report.line() == "starting"
    report.print_summary()
    for latency in (0.02, 0.03, 0.1):
        report.add(latency, 2, 1)
        time.sleep(0.002)
    assert report.line().startswith("latency 30 ms, ") and report.line().endswith(" frames/s, 1 face, 6 dropped")
    report.print_summary()
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "no frames" and out[1].startswith("3 frames, 6 dropped; latency 30 ms (median), 9")


def test_characters_in_the_window(monkeypatch, spots, clip):
    """With avatars the window shows them; nothing is imported for a display that is not asked for."""
    monkeypatch.setattr(window, "check_display", lambda: None)
    shown = PreviewWindow("x", rigs=[object()])  # type: ignore[list-item]
    assert shown._head_model is None
    shown.close()
