import pytest

from mfn.cli.studio.limits import Limits, check_clip, check_upload


def test_uploads_have_a_size(tmp_path):
    file = tmp_path / "photo.jpg"
    file.write_bytes(bytes(1000))
    check_upload(file, Limits())
    with pytest.raises(ValueError, match=r"^photo.jpg: 0.0 MB is more than the limit of 0.0005 MB \(see --max-mb\)$"):
        check_upload(file, Limits(max_mb=0.0005))
    file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"^photo.jpg: empty file$"):
        check_upload(file, Limits())


def test_clips_have_a_length_and_a_size(clip, tmp_path):
    path = tmp_path / "clip.avi"  # one second, 640 x 384 px
    check_clip(path, 0, None, Limits(max_seconds=1))
    check_clip(path, 0, 100, Limits(max_seconds=1))
    with pytest.raises(ValueError, match=r"640 x 384 px is more than the limit of 0\.2 megapixels"):
        check_clip(path, 0, None, Limits(max_megapixels=0.2))


def test_a_part_of_a_long_clip_is_enough(clip, tmp_path, monkeypatch):
    from mfn.cli.studio import limits
    from mfn.video.readers.clip import Clip

    monkeypatch.setattr(limits, "probe", lambda path: Clip(640, 384, 30.0, 9000))
    with pytest.raises(ValueError, match=r"^clip.avi: 300 s is more than the limit of 60 s; choose a shorter part"):
        check_clip(tmp_path / "clip.avi", 0, None, Limits(max_seconds=60))
    check_clip(tmp_path / "clip.avi", 100, 160, Limits(max_seconds=60))
    check_clip(tmp_path / "clip.avi", 250, None, Limits(max_seconds=60))
