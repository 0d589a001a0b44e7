"""Tests of the video reader with PyAV and with OpenCV."""

import struct
from fractions import Fraction

import numpy as np
import PIL.Image
import pytest

from mfn.cli.main import main
from mfn.video import reader as video
from mfn.video.reader import is_clip, probe, read_frames
from mfn.video.readers import opencv


def test_frames_and_times(clip):
    info = probe(clip)
    assert (info.width, info.height, info.fps) == (640, 384, 20)
    times, frames = zip(*read_frames(clip), strict=True)
    np.testing.assert_allclose(times, np.arange(20) / 20, atol=1e-3)
    assert frames[0].shape == (384, 640, 3) and frames[19][0, 0, 0] > frames[0][0, 0, 0]


def test_missing_files_are_known_by_their_suffix():
    assert is_clip("a.MP4") and is_clip("b.mov") and is_clip("d.mts") and not is_clip("c.jpg")


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


def make_mp4(path, times, sound="aac", size=(64, 48), pictures=True, aspect=None, noise=False):
    """Write frames at the given times, with a white upper left corner, and a tone of 1.5 s."""
    random = np.random.default_rng(0)
    av = pytest.importorskip("av", reason="needs the video extra")
    with av.open(str(path), "w") as out:
        if pictures:
            stream = out.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            stream.codec_context.options = {"bf": "0"}
            if aspect is not None:
                stream.codec_context.sample_aspect_ratio = aspect
        audio = out.add_stream(sound, rate=44100, layout="mono") if sound else None
        for time_s in times if pictures else ():
            picture = np.full((size[1], size[0], 3), 60, np.uint8)
            picture[: size[1] // 2, : size[0] // 2] = 250
            if noise:
                picture = random.integers(0, 255, picture.shape, np.uint8)
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


MATRICES = {
    "turned right": ((0, 1, -1, 0), (0, -1)),
    "turned left": ((0, -1, 1, 0), (-1, 0)),
    "upside down": ((-1, 0, 0, -1), (-1, -1)),
    "mirrored": ((-1, 0, 0, 1), (0, -1)),
    "mirrored upside down": ((1, 0, 0, -1), (-1, 0)),
    "transposed": ((0, 1, 1, 0), (0, 0)),
    "transposed and turned": ((0, -1, -1, 0), (-1, -1)),
}
"""Display matrix a b c d, and where the white upper left corner of the stored image is shown."""


@pytest.mark.parametrize("by", ["av", "cv2"])
@pytest.mark.parametrize("name", MATRICES)
def test_a_turned_or_mirrored_clip_is_read_upright(tmp_path, by, name, monkeypatch):
    """The test writes a display matrix into the track header and finds the white corner in the decoded frame."""
    matrix, corner = MATRICES[name]
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
    others = [frame[y, x].mean() for y in (0, -1) for x in (0, -1) if (y % 2, x % 2) != (corner[0] % 2, corner[1] % 2)]
    assert len(others) == 3 and max(others) < 100


@pytest.mark.parametrize("by", ["av", "cv2"])
@pytest.mark.parametrize(("aspect", "size"), [(Fraction(2), (128, 48)), (Fraction(1, 2), (64, 96)), (Fraction(1), (64, 48))])
def test_pixels_are_made_square(tmp_path, by, aspect, size, monkeypatch):
    path = make_mp4(tmp_path / "a.mp4", TIMES, sound=None, aspect=aspect)
    monkeypatch.setattr(video, "has_pyav", lambda: by == "av")
    frame = next(iter(read_frames(path)))[1]
    assert probe(path)[:2] == size and frame.shape[1::-1] == size
    assert frame[2, 2].mean() > 200 and frame[-3, -3].mean() < 100


@pytest.mark.parametrize("by", ["av", "cv2"])
@pytest.mark.parametrize("start_s", [0.0, 0.5])
def test_a_clip_whose_size_changes_keeps_its_first_size(tmp_path, by, start_s, monkeypatch):
    sizes = {"1.ts": (64, 96), "2.ts": (32, 48)}
    parts = [make_mp4(tmp_path / name, np.arange(15) / 30, sound=None, size=size) for name, size in sizes.items()]
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    monkeypatch.setattr(video, "has_pyav", lambda: by == "av")
    frames = [frame for _, frame in read_frames(path, start_s)]
    assert probe(path)[:2] == (64, 96) and {frame.shape for frame in frames} == {(96, 64, 3)}
    assert all(frame[:40, :24].mean() > 200 and frame[56:, 40:].mean() < 100 for frame in frames)


def write_circle(path, width, height):
    """Write a clip of a white circle on gray, in the middle of the picture."""
    av = pytest.importorskip("av", reason="needs the video extra")
    y, x = np.mgrid[:height, :width] - np.array([height - 1, width - 1])[:, None, None] / 2
    picture = np.where(x**2 + y**2 < (0.35 * min(width, height)) ** 2, 250, 60).astype(np.uint8)[..., None].repeat(3, 2)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(15):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))


@pytest.mark.parametrize("sizes", [((96, 160), (160, 96)), ((160, 96), (96, 160)), ((160, 96), (320, 320))])
def test_a_circle_stays_a_circle_where_a_clip_changes_its_shape_midway(tmp_path, sizes):
    """PyAV only: OpenCV stretches such frames itself."""
    for number, size in enumerate(sizes):
        write_circle(tmp_path / f"{number}.ts", *size)
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join((tmp_path / f"{number}.ts").read_bytes() for number in range(2)))
    frames = [frame for _, frame in read_frames(path)]
    (width, height), (other_width, other_height) = sizes
    assert {frame.shape for frame in frames} == {(height, width, 3)}
    last = frames[-1].mean(2)
    across, down = ((last > 150).any(axis=axis).sum() for axis in (0, 1))
    diameter = 0.7 * min(other_width, other_height) * min(width / other_width, height / other_height)
    assert abs(across - diameter) <= 3 and abs(down - diameter) <= 3
    np.testing.assert_allclose(np.argwhere(last > 150).mean(0), [(height - 1) / 2, (width - 1) / 2], atol=1)
    bars = last[:, [0, -1]] if width / height > other_width / other_height else last[[0, -1]]
    assert bars.max() < 20


def test_an_animated_image_that_states_a_turn_is_probed_upright(tmp_path):
    pictures, exif = [PIL.Image.new("RGB", (32, 24), (90 * i, 0, 0)) for i in range(2)], PIL.Image.Exif()
    exif[0x0112] = 6
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], duration=100, exif=exif)
    shapes = {frame.shape for _, frame in read_frames(tmp_path / "a.webp")}
    assert shapes == {(32, 24, 3)} and probe(tmp_path / "a.webp")[:2] == (24, 32)


KINDS = {
    "3gp": ("3gp", "h264"),
    "mov": ("mov", "h264"),
    "mts": ("mpegts", "h264"),
    "mpg": ("mpeg", "mpeg1video"),
    "flv": ("flv", "flv"),
    "wmv": ("asf", "wmv2"),
    "avi": ("avi", "mpeg4"),
    "mkv": ("matroska", "h264"),
}


@pytest.mark.parametrize("by", ["av", "cv2"])
@pytest.mark.parametrize("kind", KINDS)
def test_clips_are_known_by_their_content(tmp_path, by, kind, monkeypatch):
    av = pytest.importorskip("av", reason="needs the video extra")
    container, codec = KINDS[kind]
    path = tmp_path / "download.bin"
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * number + 20, np.uint8), format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    monkeypatch.setattr(video, "has_pyav", lambda: by == "av")
    times, frames = zip(*read_frames(path), strict=True)
    assert is_clip(path) and len(frames) == 20 and abs(probe(path).fps - 25) < 0.1
    np.testing.assert_allclose(times, np.arange(20) / 25, atol=2e-3)
    selected = list(read_frames(path, 0.4, 0.6))
    assert len(selected) == 5
    np.testing.assert_allclose([time_s for time_s, _ in selected], np.arange(5) / 25, atol=2e-3)
    assert abs(float(selected[0][1].mean()) - float(frames[10].mean())) < 3


def test_images_are_no_clips(tmp_path):
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "a.mp4", format="PNG")
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "still.gif")
    (tmp_path / "text.mov").write_text("no video")
    assert not is_clip(tmp_path / "a.mp4") and not is_clip(tmp_path / "still.gif") and is_clip(tmp_path / "text.mov")


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "avif"])
def test_animated_images_are_clips(tmp_path, suffix):
    shades = [PIL.Image.new("RGB", (32, 24), (40 * i, 40 * i, 40 * i)) for i in range(5)]
    path = tmp_path / f"a.{suffix}"
    shades[0].save(path, save_all=True, append_images=shades[1:], duration=[100, 100, 200, 100, 100])
    times, frames = zip(*read_frames(path), strict=True)
    assert is_clip(path) and probe(path)[:2] == (32, 24) and probe(path).frames == 5
    np.testing.assert_allclose(times, [0, 0.1, 0.2, 0.4, 0.5], atol=1e-6)
    assert [abs(float(frame.mean()) - 40 * i) < 6 for i, frame in enumerate(frames)] == [True] * 5


def test_a_gif_that_states_no_time_runs_at_ten_frames_a_second(tmp_path):
    shades = [PIL.Image.new("RGB", (32, 24), (90 * i, 0, 0)) for i in range(3)]
    shades[0].save(tmp_path / "a.gif", save_all=True, append_images=shades[1:], duration=0)
    assert probe(tmp_path / "a.gif").fps == 10


def index_first(data: bytes) -> bytes:
    """Move the index (moov) of an MP4 file in front of the media (mdat), and correct the offsets in it."""
    boxes, at = {}, 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        boxes[data[at + 4 : at + 8]] = data[at : at + size]
        at += size
    index = bytearray(boxes[b"moov"])
    table = index.index(b"stco") + 8
    for entry in range(int.from_bytes(index[table : table + 4], "big")):
        place = table + 4 + 4 * entry
        index[place : place + 4] = (int.from_bytes(index[place : place + 4], "big") + len(index)).to_bytes(4, "big")
    del boxes[b"moov"]
    return boxes.pop(b"ftyp") + bytes(index) + b"".join(boxes.values())


@pytest.mark.parametrize("by", ["av", "cv2"])
def test_a_truncated_clip_says_how_much_was_read(tmp_path, by, caplog, monkeypatch):
    path = make_mp4(tmp_path / "a.mp4", np.arange(60) / 30, sound=None, size=(96, 64), noise=True)
    data = index_first(path.read_bytes())
    path.write_bytes(data)
    monkeypatch.setattr(video, "has_pyav", lambda: by == "av")
    assert len(list(read_frames(path))) == 60 and not caplog.records
    path.write_bytes(data[: len(data) // 2])
    count = len(list(read_frames(path)))
    assert 15 < count < 45
    messages = [record.getMessage() for record in caplog.records if "ends early" in record.getMessage()]
    assert messages == [f"{path}: the file ends early: the first {count / 30:.1f} of 2.0 s could be read"]


@pytest.mark.parametrize("by", ["av", "cv2"])
def test_a_clip_without_its_index_is_explained(tmp_path, by, monkeypatch):
    data = make_mp4(tmp_path / "a.mp4", TIMES).read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: data.rindex(b"moov") - 4])
    monkeypatch.setattr(video, "has_pyav", lambda: by == "av")
    with pytest.raises(ValueError, match="not a whole video: its end is missing"):
        probe(tmp_path / "a.mp4")


def test_a_codec_that_opencv_lacks_names_the_extra(tmp_path, monkeypatch):
    class Undecodable:
        def __getattr__(self, name):
            return lambda *_: {"isOpened": True, "get": 64.0, "grab": False, "set": True}.get(name)

    path = make_mp4(tmp_path / "a.mp4", TIMES)
    monkeypatch.setattr(video, "has_pyav", lambda: False)
    monkeypatch.setattr(opencv, "open_capture", lambda source: Undecodable())
    with pytest.raises(ValueError, match=r'without a picture that can be read \(pip install "\.\[video\]"'):
        probe(path)


AV1_ENCODERS = {"libsvtav1": {"preset": "12"}, "libaom-av1": {"cpu-used": "8"}}


@pytest.mark.parametrize("by", ["av", "cv2"])
def test_av1_is_read_or_the_extra_is_named(tmp_path, by, monkeypatch):
    """OpenCV's wheels read AV1 on some systems only."""
    av = pytest.importorskip("av", reason="needs the video extra")
    encoder = next((name for name in AV1_ENCODERS if name in av.codecs_available), None)
    if encoder is None:
        pytest.skip("this PyAV has no AV1 encoder")
    with av.open(str(path := tmp_path / "a.mp4"), "w") as out:
        stream = out.add_stream(encoder, rate=25, options=AV1_ENCODERS[encoder])
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 20 * number + 20, np.uint8), format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    monkeypatch.setattr(video, "has_pyav", lambda: by == "av")
    try:
        frames = [image for _, image in read_frames(path)]
    except ValueError as error:
        assert by == "cv2" and str(error).endswith('(pip install ".[video]" reads more kinds)')
        return
    assert is_clip(path) and probe(path)[:2] == (96, 64) and len(frames) == 10
    np.testing.assert_allclose([image.mean() for image in frames], 20 * np.arange(10) + 20, atol=4)


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
