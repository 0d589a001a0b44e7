"""`mfn live`: packets that arrive, what the window shows, and one line where something is wrong."""

import socket
import time
from types import SimpleNamespace

import cv2
import numpy as np
import PIL.Image
import pytest

from mfn.animation import live, preview_window
from mfn.animation.live import LiveOptions, LiveStatistics, open_senders
from mfn.cli.main import main
from mfn.inference.predictor import Predictor
from mfn.video.webcam import Frame


def test_livelink_packets_arrive(clip, spots, capsys):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        port = str(receiver.getsockname()[1])
        arguments = ["live", clip, "--to", "livelink", "--port", port, "--seconds", "0.3"]
        assert main([*arguments, "--weights", str(spots), "--min-face", "24"]) == 0
        data = receiver.recv(2048)
    assert data[0] == 6 and b"mfn 0" in data and len(data) == 311
    out = capsys.readouterr().out
    assert "frames, " in out and "latency" in out and out.count("\n") == 1


def spot(x: int, shade: int = 0) -> np.ndarray:
    """Return a frame with a white spot that `spots` detects."""
    picture = np.full((384, 640, 3), shade, np.uint8)
    picture[80:88, x : x + 8] = 255
    return picture


def test_a_face_that_was_lost_comes_back_as_the_same_subject(spots, monkeypatch):
    frames = [(0.0, spot(160)), (0.1, spot(160)), (0.2, np.zeros((384, 640, 3), np.uint8)), (1.2, spot(400)), (1.3, spot(400))]
    monkeypatch.setattr(live, "open_source", lambda source: iter(frames))
    sent = []
    monkeypatch.setattr(live, "open_senders", lambda options: [SimpleNamespace(send=sent.append, close=lambda: None)])
    predictor = Predictor.load(spots, min_face_px=24, threads=1)
    live.live(predictor, "clip.mp4", LiveOptions(to=["livelink"], quiet=True))
    seen = [(int(actor), take.time_s[0]) for take in sent for actor in take.actors()]
    assert {actor for actor, _ in seen} == {0} and seen[0][1] < 0.2 and seen[-1][1] > 1


@pytest.mark.parametrize(("source", "cuts"), [("clip.mp4", 1), ("0", 0)])
def test_only_a_clip_has_cuts(spots, monkeypatch, source, cuts):
    """With a camera somebody switches the light: the same person stays."""
    counted = []
    frames = [(0.25 * k, spot(160, 0 if k < 3 else 120)) for k in range(6)]
    monkeypatch.setattr(live, "NewestFrame", lambda frames, paced: EveryFrame(frames, paced))
    monkeypatch.setattr(live, "open_source", lambda source: frames)
    monkeypatch.setattr(live.Tracker, "cut", lambda self: counted.append(1))
    live.live(Predictor.load(spots, min_face_px=24, threads=1), source, LiveOptions(to=["livelink"], quiet=True))
    assert len(counted) == cuts


class EveryFrame:
    """A source that drops no frame."""

    def __init__(self, frames, paced):
        self.frames, self.paced = frames, paced

    def after(self, number, wait_s):
        return Frame(number + 1, self.frames[number + 1][0], time.perf_counter(), self.frames[number + 1][1]) if number < 5 else None

    def stop(self):
        pass


def test_the_time_is_kept_where_a_clip_shows_one_picture_for_long(spots, tmp_path, capsys):
    pictures = [PIL.Image.new("RGB", (640, 384), (shade, 0, 0)) for shade in (0, 50)]
    pictures[0].save(tmp_path / "slides.gif", save_all=True, append_images=pictures[1:], duration=20_000)
    start = time.perf_counter()
    arguments = ["live", str(tmp_path / "slides.gif"), "--to", "livelink", "--seconds", "0.2", "--weights", str(spots)]
    assert main([*arguments, "--min-face", "24"]) == 0
    assert time.perf_counter() - start < 8 and capsys.readouterr().out.startswith("1 frames, 0 dropped")


def test_vmc_ends_by_itself(clip, spots, capsys):
    pytest.importorskip("pythonosc")
    arguments = ["live", clip, "--to", "vmc", "--seconds", "0.2", "--weights", str(spots), "--min-face", "24"]
    assert main([*arguments, "--port", "39999", "--names", "arkit"]) == 0
    assert "latency" in capsys.readouterr().out


def test_the_window_shows_the_image_with_a_mesh_and_a_line(clip, spots, head_model, monkeypatch):
    shown = []
    monkeypatch.setattr(preview_window, "check_display", lambda: None)
    fake = SimpleNamespace(**{name: getattr(cv2, name) for name in dir(cv2) if not name.startswith("__")})
    fake.imshow = lambda title, picture: shown.append(picture)
    fake.waitKey = lambda ms: ord("q")
    fake.getWindowProperty = lambda title, what: 1.0
    fake.destroyAllWindows = lambda: None
    monkeypatch.setitem(__import__("sys").modules, "cv2", fake)
    assert main(["live", clip, "--weights", str(spots), "--min-face", "24", "--quiet"]) == 0
    assert len(shown) == 1 and shown[0].shape == (384, 640, 3)
    assert (shown[0][:20, :100] > 200).any() and shown[0][350:, 500:].max() < 100
    assert not np.array_equal(shown[0][90:110, 170:190], np.full((20, 20, 3), 255))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["live", "99"], "expected a picture from camera 99"),
        (["live", "none.mp4"], "none.mp4: no such file"),
        (["live", "empty.mp4"], "empty.mp4: empty file"),
        (["live", "99", "--to", "window"], "needs a display"),
        (["live", "99", "--to", "vmc", "livelink", "--port", "5"], "--port is for one program"),
        (["live", "99", "--to", "vmc", "--to", "livelink", "--port", "5"], "--port is for one program"),
        (["live", "99", "--to", "vmc", "--port", "65535", "--people", "2"], "ports up to 65535"),
        (["live", "99", "--to", "vmc", "--names", "vrm9"], "expected vrm0, vrm1, arkit or an avatar"),
        (["live", "99", "--to", "livelink", "--host", "no such host"], "no such host"),
        (["live", "99", "--to", "vmc", "--avatar", "lyon"], "did you mean 'lion'?"),
    ],
)
def test_bad_input_is_one_line(arguments, message, spots, tmp_path, monkeypatch, capfd):
    pytest.importorskip("pythonosc")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    (tmp_path / "empty.mp4").touch()
    if "--to" not in arguments:
        arguments = [*arguments, "--to", "vmc"]
    assert main([*arguments, "--weights", str(spots), "--min-face", "24", "--quiet"]) == 1
    err = capfd.readouterr().err
    assert message in err and err.count("\n") == 1 and err.startswith("mfn: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "vcm"], "argument --to: 'vcm': expected vmc, livelink, ifacialmocap, ifacialmocap-v2 or window; did you mean 'vmc'?"),
        (["--seconds", "0"], "argument --seconds: 0: expected a number, above 0"),
        (["--port", "70000"], "argument --port: 70000: expected a whole number, 1 to 65535"),
    ],
)
def test_wrong_usage_is_2(arguments, message, capsys):
    assert main(["live", "0", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (LiveOptions(to=["obs"]), "--to obs: expected vmc, livelink, ifacialmocap, ifacialmocap-v2 or window"),
        (LiveOptions(to=[]), r"--to \(nothing\): expected"),
        (LiveOptions(seconds=0.0), "--seconds 0: expected more than 0"),
    ],
)
def test_options_from_python_are_checked_too(options, message):
    with pytest.raises(ValueError, match=message):
        open_senders(options)


def test_statistics(capsys):
    statistics = LiveStatistics()
    assert statistics.line() == "starting"
    statistics.print_summary()
    for latency_s in (0.02, 0.03, 0.1):
        statistics.add(latency_s, 2, 1)
    assert statistics.line().startswith("latency 30 ms, ") and statistics.line().endswith(", 1 face, 6 dropped")
    statistics.print_summary()
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "no frames" and out[1].startswith("3 frames, 6 dropped; latency 30 ms (median), 9")
