import cv2
import numpy as np
import pytest

from mfn.cli import main
from mfn.video import is_clip, probe, read_frames


@pytest.fixture
def clip(tmp_path):
    """Ten frames at 20 frames/s, ever brighter, with a white spot that the spot network finds."""
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (640, 384))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write a video")
    for i in range(10):
        frame = np.full((384, 640, 3), i * 4, np.uint8)
        frame[80:120, 160:200] = 255
        writer.write(frame)
    writer.release()
    return path


def test_frames_and_times(clip):
    about = probe(clip)
    assert (about.width, about.height, about.fps) == (640, 384, 20)
    times, frames = zip(*read_frames(clip), strict=True)
    np.testing.assert_allclose(times, np.arange(10) / 20, atol=1e-3)
    assert frames[0].shape == (384, 640, 3) and frames[9][0, 0, 0] > frames[0][0, 0, 0]


def test_suffixes():
    assert is_clip("a.MP4") and is_clip("b.mov") and not is_clip("c.jpg")


@pytest.mark.parametrize(("content", "message"), [(b"", "empty file"), (b"nonsense" * 50, "not a video")])
def test_bad_videos_are_one_line(tmp_path, content, message):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        probe(tmp_path / "a.mp4")


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        probe(tmp_path / "a.mp4")


def test_a_clip_becomes_a_take(clip, spots, tmp_path):
    from retarget import Take

    assert main(["animate", clip, "--weights", str(spots), "--out", str(tmp_path / "x.npz"), "--quiet"]) == 0
    take = Take.load(tmp_path / "x.npz")
    assert len(take) >= 10 and np.isclose(take.time_s.max(), 0.45, atol=1e-3)
