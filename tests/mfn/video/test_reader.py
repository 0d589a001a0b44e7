"""Tests of the video reader with PyAV and with OpenCV."""

import struct
from fractions import Fraction

import numpy as np
import pytest

from mfn.cli.main import main
from mfn.video import reader as video
from mfn.video.reader import is_clip, probe, read_frames


def test_frames_and_times(clip):
    info = probe(clip)
    assert (info.width, info.height, info.fps) == (640, 384, 20)
    times, frames = zip(*read_frames(clip), strict=True)
    np.testing.assert_allclose(times, np.arange(20) / 20, atol=1e-3)
    assert frames[0].shape == (384, 640, 3) and frames[19][0, 0, 0] > frames[0][0, 0, 0]


def test_clips_are_known_by_their_suffix():
    assert is_clip("a.MP4") and is_clip("b.mov") and not is_clip("c.jpg")


@pytest.mark.parametrize(("content", "message"), [(b"", "empty file"), (b"nonsense" * 50, "not a video")])
def test_files_that_are_no_video_raise(tmp_path, content, message):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        probe(tmp_path / "a.mp4")


def test_a_missing_file_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        probe(tmp_path / "a.mp4")


def test_a_clip_becomes_a_take(clip, spots, tmp_path):
    from retarget import Take

    assert main(["animate", clip, "--weights", str(spots), "--out", str(tmp_path / "x.npz"), "--quiet"]) == 0
    take = Take.load(tmp_path / "x.npz")
    assert len(take) >= 20 and np.isclose(take.time_s.max(), 0.95, atol=1e-3)


def make_mp4(path, times, sound="aac", size=(64, 48), pictures=True):
    """Write frames at the given times, with a white upper left corner, and a tone of 1.5 s."""
    av = pytest.importorskip("av", reason="needs the video extra")
    with av.open(str(path), "w") as out:
        if pictures:
            stream = out.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            stream.codec_context.options = {"bf": "0"}
        audio = out.add_stream(sound, rate=44100, layout="mono") if sound else None
        for time_s in times if pictures else ():
            picture = np.full((size[1], size[0], 3), 60, np.uint8)
            picture[: size[1] // 2, : size[0] // 2] = 250
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            out.mux(stream.encode(frame))
        if pictures:
            out.mux(stream.encode(None))
        if audio:
            tone = (np.sin(np.arange(66150) * 0.06) * 9000).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 44100, 0, Fraction(1, 44100)
            out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
    return path


TIMES = (0, 0.04, 0.05, 0.3, 0.35, 0.9)


@pytest.mark.parametrize("by", ["av", "cv2"])
def test_times_of_a_variable_frame_rate_are_those_of_the_file(tmp_path, by, monkeypatch):
    path = make_mp4(tmp_path / "a.mp4", TIMES)
    monkeypatch.setattr(video, "has_pyav", lambda: by == "av")
    times, frames = zip(*read_frames(path), strict=True)
    np.testing.assert_allclose(times, TIMES, atol=2e-3)
    assert probe(path)[:2] == (64, 48) and probe(path).sound == (by == "av")


@pytest.mark.parametrize("by", ["av", "cv2"])
@pytest.mark.parametrize(("matrix", "corner"), [((0, 1, -1, 0), (0, -1)), ((0, -1, 1, 0), (-1, 0)), ((-1, 0, 0, -1), (-1, -1))])
def test_a_rotated_clip_is_read_upright(tmp_path, by, matrix, corner, monkeypatch):
    """The test writes a display matrix into the track header and finds the white corner in the decoded frame."""
    path = make_mp4(tmp_path / "a.mp4", TIMES, sound=None)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    monkeypatch.setattr(video, "has_pyav", lambda: by == "av")
    frame = next(iter(read_frames(path)))[1]
    assert frame.shape == ((48, 64, 3) if matrix[0] else (64, 48, 3)) and probe(path)[:2] == frame.shape[1::-1]
    assert frame[corner].mean() > 200
    others = [frame[y, x].mean() for y in (0, -1) for x in (0, -1) if (y, x) != corner]
    assert max(others) < 100


@pytest.mark.parametrize("by", ["av", "cv2"])
def test_damaged_and_empty_files_give_an_error_of_one_line(tmp_path, by, monkeypatch, spots, capfd):
    whole = make_mp4(tmp_path / "a.mp4", TIMES).read_bytes()
    monkeypatch.setattr(video, "has_pyav", lambda: by == "av")
    make_mp4(tmp_path / "sound.mp4", (), pictures=False)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "head.mp4").write_bytes(whole[:40])
    messages = {"sound": "sound without pictures", "empty": "empty file", "cut": "video", "noise": "video", "head": "video"}
    for name, words in messages.items():
        arguments = ["animate", str(tmp_path / f"{name}.mp4"), "--weights", str(spots), "--out", str(tmp_path / "x.npz")]
        assert main(arguments) == 1
        err = capfd.readouterr().err
        assert words in err and err.count("mfn:") == 1 and f"{name}.mp4" in err
        assert by == "cv2" or err.count("\n") == 1  # the FFmpeg inside OpenCV prints a message of its own
    assert not list(tmp_path.glob("x*"))


def test_frames_after_a_damaged_part_are_read(tmp_path, caplog):
    path = make_mp4(tmp_path / "a.mp4", np.arange(60) / 30, sound=None, size=(320, 240))
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat")
    middle = begin + (len(data) - begin) // 3
    data[middle : middle + 200] = b"\xff" * 200
    path.write_bytes(data)
    times = [time_s for time_s, _ in read_frames(path)]
    assert times and (np.diff(times) > 0).all()
