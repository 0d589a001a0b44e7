"""Clips to files: sound, times, stopping and going on. The network is one that finds white spots."""

import os
import signal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mfn.animation import clip_video
from mfn.animation.output import PURPOSES
from mfn.cli.main import main
from mfn.inference.predictor import Predictor
from mfn.video import reader as video
from mfn.video import writer as video_out
from mfn.video.reader import probe, read_frames
from retarget.gltf.accessors import read_accessor
from retarget.gltf.document import read_glb

av = pytest.importorskip("av", reason="needs the video extra")
FRAMES, SIZE = 12, (640, 384)


@pytest.fixture
def clip(tmp_path):
    """Twelve frames of one white spot at uneven times, with a tone."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as out:
        film = out.add_stream("libx264", rate=20)
        film.width, film.height, film.pix_fmt = *SIZE, "yuv420p"
        film.time_base = film.codec_context.time_base = Fraction(1, 1000)
        film.codec_context.options = {"bf": "0", "crf": "0"}
        song = out.add_stream("aac", rate=44100, layout="mono")
        for i in range(FRAMES):
            picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
            picture[80:88, 160:168] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = 50 * i + 7 * (i % 3), Fraction(1, 1000)
            out.mux(film.encode(frame))
        out.mux(film.encode(None))
        tone = (np.sin(np.arange(44100) * 0.06) * 9000).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 44100, 0, Fraction(1, 44100)
        out.mux(song.encode(frame))
        out.mux(song.encode(None))
    return str(path)


def stop_after(monkeypatch, calls: int) -> list[int]:
    """Ctrl-C during that call of the network; the list counts calls."""
    count, real = [0], Predictor.__call__

    def counted(self, source, **options):
        count[0] += 1
        if count[0] == calls:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, source, **options)

    monkeypatch.setattr(Predictor, "__call__", counted)
    return count


def packets(path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_a_video_over_the_footage_with_its_times_and_sound(clip, spots, tmp_path, capsys):
    out = tmp_path / "x.mp4"
    assert main(["animate", clip, "--weights", str(spots), "--min-face", "24", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[2]] == ["1 person", f"wrote {out}: {PURPOSES['.mp4']}"]
    assert lines[1].startswith("person 0: 0.0 to 0.6 s, 12 frames, face ") and len(lines) == 3
    before, after = list(read_frames(clip)), list(read_frames(out))
    np.testing.assert_allclose([t for t, _ in after], [t for t, _ in before], atol=1e-3)
    changed = np.abs(before[5][1].astype(int) - after[5][1]).max(axis=2) > 60
    assert changed[84 - 8 : 84 + 8, 164 - 8 : 164 + 8].mean() > 0.5 and changed.mean() < 0.1
    sound = packets(clip)
    kept = packets(out)
    assert len(kept) > 10 and kept == sound[: len(kept)]  # the very packets, as long as there are pictures
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "x.mp4"}


def test_sound_that_mp4_does_not_take_is_coded_anew(clip, tmp_path):
    source = tmp_path / "pcm.avi"
    with av.open(clip) as old, av.open(str(source), "w") as new:
        film = new.add_stream("mpeg4", rate=20)
        film.width, film.height, film.pix_fmt = *SIZE, "yuv420p"
        song = new.add_stream("pcm_s16le", rate=44100, layout="mono")
        for i, frame in enumerate(old.decode(video=0)):
            again = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
            again.pts = i
            new.mux(film.encode(again))
        new.mux(film.encode(None))
        tone = av.AudioFrame.from_ndarray((np.sin(np.arange(22050) * 0.06) * 9000).astype(np.int16)[None], "s16", "mono")
        tone.sample_rate, tone.pts = 44100, 0
        new.mux(song.encode(tone))
    with video_out.SegmentWriter(tmp_path / "0.mp4", 64, 48, 20) as writer:
        for i in range(10):
            writer.add(i / 20, np.zeros((48, 64, 3), np.uint8))
    video_out.concat_segments([tmp_path / "0.mp4"], tmp_path / "out.mp4", source)
    with av.open(str(tmp_path / "out.mp4")) as out:
        samples = sum(frame.samples for frame in out.decode(audio=0))
        assert out.streams.audio[0].codec_context.name == "aac" and 18000 < samples < 26000


def test_motion_between_pauses_is_kept(spots, tmp_path):
    """Twelve frames at 30 a second, and two pauses: the mean rate is below 12 a second."""
    times = np.cumsum([0, *[1 / 30] * 11, 0.45, 0.45])
    with video_out.SegmentWriter(tmp_path / "clip.mp4", *SIZE, 30) as writer:
        for k, time_s in enumerate(times):
            picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
            picture[80:88, 160 + 8 * (k % 2) : 168 + 8 * (k % 2)] = 255
            writer.add(time_s, picture)
    arguments = ["animate", str(tmp_path / "clip.mp4"), "--weights", str(spots), "--min-face", "24", "--quiet", "--tolerance", "0", "--out"]
    assert main([*arguments, str(tmp_path / "x.glb")]) == 0
    glb = read_glb(tmp_path / "x.glb")
    inputs = {sampler["input"] for sampler in glb.document["animations"][0]["samplers"]}
    keys = max((read_accessor(glb, index) for index in inputs), key=len)
    np.testing.assert_allclose(keys.ravel()[:12], times[:12], atol=1e-3)


def one_second(path: Path) -> Path:
    """Write a segment of ten frames."""
    with video_out.SegmentWriter(path, 64, 48, 10) as writer:
        for i in range(10):
            writer.add(i / 10, np.zeros((48, 64, 3), np.uint8))
    return path


def tone(path: Path, rate_hz: int) -> Path:
    """Write a clip of two frames with two seconds of a tone of 440 Hz, as it is."""
    with av.open(str(path), "w") as out:
        film, song = out.add_stream("mpeg4", rate=1), out.add_stream("pcm_s16le", rate=rate_hz, layout="mono")
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        for _ in range(2):
            out.mux(film.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        out.mux(film.encode(None))
        wave = (np.sin(np.arange(2 * rate_hz) / rate_hz * 440 * 2 * np.pi) * 9000).astype(np.int16)[None]
        for start in range(0, wave.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[:, start : start + 1024]), "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, Fraction(1, rate_hz)
            out.mux(song.encode(frame))
        out.mux(song.encode(None))
    return path


@pytest.mark.parametrize(("rate_hz", "coded_hz"), [(192_000, 48_000), (50_000, 48_000), (9_000, 11_025), (96_000, 96_000), (8_000, 8_000)])
def test_sound_of_any_rate_is_coded(tmp_path, rate_hz, coded_hz):
    video_out.concat_segments([one_second(tmp_path / "0.mp4")], tmp_path / "out.mp4", tone(tmp_path / "tone.mkv", rate_hz))
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert out.streams.audio[0].codec_context.sample_rate == coded_hz
        wave = np.concatenate([frame.to_ndarray()[0] for frame in out.decode(audio=0)])
    assert 0.8 < len(wave) / coded_hz < 1.4
    middle = wave[coded_hz // 4 : 3 * coded_hz // 4]
    assert abs(np.abs(np.fft.rfft(middle)).argmax() / (len(middle) / coded_hz) - 440) < 4


def test_sound_that_cannot_be_coded_is_left_out_with_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(video_out, "_aac_rate", lambda rate_hz: 9_000)  # AAC does not know it
    video_out.concat_segments([one_second(tmp_path / "0.mp4")], tmp_path / "out.mp4", tone(tmp_path / "tone.mkv", 9_000))
    assert "tone.mkv: its sound could not be written, so the video has none" in caplog.text
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert not out.streams.audio
    assert len(list(read_frames(tmp_path / "out.mp4"))) == 10


def test_odd_sides(tmp_path):
    with video_out.SegmentWriter(tmp_path / "0.mp4", 65, 47, 30) as writer:
        writer.add(0.0, np.full((47, 65, 3), 200, np.uint8))
    assert probe(tmp_path / "0.mp4")[:2] == (66, 48)


@pytest.mark.parametrize("kind", ["npz", "mp4"])
def test_stopped_and_resumed_is_as_if_never_stopped(clip, spots, tmp_path, monkeypatch, capsys, kind):
    arguments = ["animate", clip, "--weights", str(spots), "--min-face", "24", "--quiet", "--out"]
    assert main([*arguments, str(tmp_path / f"once.{kind}")]) == 0
    out = tmp_path / f"x.{kind}"
    with monkeypatch.context() as patch:
        stop_after(patch, 7)
        assert main([*arguments, str(out)]) == 130
    err = capsys.readouterr().err
    assert "--resume continues" in err and err.count("\n") == 1 and out.is_file()
    assert kind == "npz" or (len(list(read_frames(out))) == 7 and "has the first 7 of" in err)
    count = stop_after(monkeypatch, 10**6)
    assert main([*arguments, str(out), "--resume"]) == 0
    assert count[0] == FRAMES - 7 and not list(tmp_path.glob("*.part"))
    if kind == "npz":
        from retarget import Take

        once, twice = Take.load(tmp_path / "once.npz"), Take.load(out)
        stated = probe(clip)
        assert once.footage.known() == {
            "width": stated.width, "height": stated.height, "focal_px": 1.2 * stated.width, "fps": stated.fps, "name": Path(clip).name
        }  # fmt: skip
        np.testing.assert_array_equal(once.coefficients, twice.coefficients)
        np.testing.assert_array_equal(once.time_s, twice.time_s)
    else:
        assert len(list(read_frames(out))) == FRAMES


def test_stopped_while_drawing_goes_on_drawing(clip, spots, tmp_path, monkeypatch, capsys):
    drawn, real = [0], clip_video.render_scene

    def counted(*given, **named):
        drawn[0] += 1
        if drawn[0] == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*given, **named)

    monkeypatch.setattr(clip_video, "render_scene", counted)
    out = tmp_path / "x.mp4"
    arguments = ["animate", clip, "--weights", str(spots), "--min-face", "24", "--quiet", "--out", str(out)]
    assert main(arguments) == 130
    assert len(list(read_frames(out))) == 5
    assert main([*arguments, "--resume"]) == 0
    assert drawn[0] == FRAMES and len(list(read_frames(out))) == FRAMES
    np.testing.assert_allclose([t for t, _ in read_frames(out)], [t for t, _ in read_frames(clip)], atol=1e-3)


def test_stopped_before_any_face_keeps_what_was_looked_at(clip, spots, tmp_path, monkeypatch, capsys):
    out = tmp_path / "x.npz"
    arguments = ["animate", clip, "--weights", str(spots), "--min-face", "24", "--quiet", "--score", "1", "--out", str(out)]
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        assert main(arguments) == 130
    assert "no face in the first 3 frames; --resume continues" in capsys.readouterr().err
    count = stop_after(monkeypatch, 10**6)
    assert main([*arguments, "--resume"]) == 1 and count[0] == FRAMES - 3
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4"}


def test_resume_of_something_else_is_one_line(clip, spots, tmp_path, monkeypatch, capsys):
    arguments = ["animate", clip, "--weights", str(spots), "--min-face", "24", "--quiet", "--out", str(tmp_path / "x.npz")]
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        assert main(arguments) == 130
    capsys.readouterr()
    assert main([*arguments, "--resume", "--score", "0.5"]) == 1
    err = capsys.readouterr().err
    assert "is of another clip or part of it, or of another --min-face, --score or --weights" in err and err.count("\n") == 1


def test_without_pyav_a_video_is_refused_and_the_rest_works(clip, spots, tmp_path, monkeypatch, capsys):
    for module in (video, video_out):
        monkeypatch.setattr(module, "has_pyav", lambda: False)
    arguments = ["animate", clip, "--weights", str(spots), "--min-face", "24", "--quiet", "--out"]
    assert main([*arguments, str(tmp_path / "x.mp4")]) == 1
    err = capsys.readouterr().err
    assert 'pip install ".[video]"' in err and err.count("\n") == 1
    assert main([*arguments, str(tmp_path / "x.npz"), "--calibrate"]) == 0


def test_a_part_of_a_clip_begins_at_0_and_has_its_sound(clip, spots, tmp_path):
    from retarget import Take

    arguments = ["animate", clip, "--weights", str(spots), "--min-face", "24", "--quiet", "--start", "0:0.2", "--end", "0.45", "--out"]
    assert main([*arguments, str(tmp_path / "x.npz")]) == 0
    times = np.unique(Take.load(tmp_path / "x.npz").time_s)
    before = [time_s for time_s, _ in read_frames(clip)]
    np.testing.assert_allclose(times, [t - 0.2 for t in before if 0.19 < t < 0.44], atol=2e-3)
    assert main([*arguments, str(tmp_path / "x.mp4")]) == 0
    np.testing.assert_allclose([t for t, _ in read_frames(tmp_path / "x.mp4")], times - times[0], atol=2e-3)
    sound, kept = packets(clip), packets(tmp_path / "x.mp4")
    first = sound.index(kept[0])
    assert 6 <= first <= 10 and kept == sound[first : first + len(kept)] and len(kept) >= 8  # a packet lasts 23 ms


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--start", "9"], "--start 9: expected a time within the clip"),
        (["--start", "0.3", "--end", "0.2"], "--end 0.2: expected a time after --start 0.3"),
        (["--drop", "1"], "--drop 1: expected the number of a person, 0"),
        (["--drop", "0"], "--drop: nobody remains"),
        (["--calibrate", "--neutral", "x.png"], "choose one"),
        (["--plain"], "--plain would change nothing in the .npz file of a clip; leave it out"),
        (["--neutral", "x.png"], "x.png: no such file"),
    ],
)
def test_wrong_choices_are_one_line(clip, spots, tmp_path, capsys, arguments, message):
    out = tmp_path / "x.npz"
    assert main(["animate", clip, "--weights", str(spots), "--min-face", "24", "--quiet", "--out", str(out), *arguments]) == 1
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and not out.exists()
