"""MediaPipe's landmarker in several views, and the messages for a missing or wrong model file."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

import mfn.fitting.landmarker
from mfn.fitting.landmarker import LandmarkResult, View, bounding_boxes, find_model, mirror_scores, without_stderr
from retarget.arkit import EXPRESSION_NAMES

SHARED = Path(__file__).parents[3].parent / "shared"
TASK = SHARED / "data" / "face_landmarker_v2_with_blendshapes.task"
NAMES = ["_neutral", *EXPRESSION_NAMES]


def result(count: int, seed: int = 0) -> LandmarkResult:
    """Random landmarks."""
    rng = np.random.default_rng(seed)
    arrays = rng.uniform(0, 100, (count, 478, 3)), rng.random((count, 52)), rng.random((count, 3, 3))
    return LandmarkResult(*(array.astype(np.float32) for array in arrays))


def test_results_are_joined_and_selected() -> None:
    first, second = result(2), result(1, seed=1)
    joined = LandmarkResult.concatenate([first, LandmarkResult.empty(), second])
    assert len(joined) == 3 and len(LandmarkResult.concatenate([])) == 0
    np.testing.assert_array_equal(joined[[2]].points, second.points)
    np.testing.assert_array_equal(joined[np.array([True, True, False])].scores, first.scores)


def test_lines_of_other_libraries_are_dropped_for_a_while(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="seen"), without_stderr():
        os.write(2, b"W0000 noise")
        raise ValueError("seen")
    os.write(2, b"news")
    assert capfd.readouterr().err == "news"


def test_bounding_boxes() -> None:
    points = np.array([[[1, 5, 0], [3, 2, 9]]], np.float32)
    assert bounding_boxes(points).tolist() == [[1, 2, 3, 5]]
    assert bounding_boxes(points[:0]).shape == (0, 4)


def test_mirrored_scores() -> None:
    scores = np.zeros((1, 52), np.float32)
    scores[0, NAMES.index("eyeBlinkLeft")] = 0.7
    mirrored = mirror_scores(scores, NAMES)
    assert mirrored[0, NAMES.index("eyeBlinkRight")] == np.float32(0.7) and mirrored.sum() == np.float32(0.7)


@pytest.mark.skipif(not TASK.is_file(), reason="needs ../shared/data/face_landmarker_v2_with_blendshapes.task")
def test_views_of_a_real_face_agree() -> None:
    pytest.importorskip("mediapipe")
    from mfn.fitting.landmarker import Landmarker
    from mfn.training.packs.reader import read_pictures

    picture = read_pictures(SHARED / "eval" / "facesynthetics.tar", every=25)[0]
    with Landmarker(TASK) as landmarker:
        seen = landmarker(picture)
        box = np.concatenate([seen.points[0, :, :2].min(0), seen.points[0, :, :2].max(0)])
        looks = landmarker.detect_in_views(picture, box, (View(), View(mirror=True), View(roll_rad=0.3)))
    size = np.sqrt((box[2:] - box[:2]).prod())
    assert len(looks.points) == 3
    assert (np.linalg.norm(looks.points[..., :2] - seen.points[..., :2], axis=2).mean(1) / size).max() < 0.03
    angle = np.degrees(np.arccos(np.clip((np.einsum("nij,ij->n", looks.rotation, seen.rotation[0]) - 1) / 2, -1, 1)))
    assert angle.max() < 6


def test_a_missing_model_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"face_landmarker\.task"):
        mfn.fitting.landmarker.Landmarker(tmp_path / "none.task")
    pytest.importorskip("mediapipe")
    (tmp_path / "bad.task").write_bytes(b"not a model")
    with pytest.raises(ValueError, match=r"bad\.task: not MediaPipe's"):
        mfn.fitting.landmarker.Landmarker(tmp_path / "bad.task")


@pytest.fixture
def server(tmp_path, monkeypatch) -> Path:
    """A file that stands for MediaPipe's on its server, an empty cache, and an empty current directory."""
    file = tmp_path / "server.task"
    file.write_bytes(b"the model")
    monkeypatch.setattr(mfn.fitting.landmarker, "MODEL_URL", file.as_uri())
    monkeypatch.setattr(mfn.fitting.landmarker, "MODEL_SHA256", hashlib.sha256(b"the model").hexdigest())
    monkeypatch.setattr(mfn.fitting.landmarker, "cache_folder", lambda program: tmp_path / "cache" / program)
    monkeypatch.setattr(mfn.fitting.landmarker, "find_spec", lambda name: True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return file


def test_the_model_file_is_downloaded_once(server) -> None:
    notes: list[str] = []
    first = find_model(on_note=notes.append)
    server.unlink()
    assert first.read_bytes() == b"the model" and find_model(on_note=notes.append) == first
    assert len(notes) == 1 and "downloading" in notes[0]
    Path("face_landmarker.task").write_bytes(b"mine")
    assert find_model().read_bytes() == b"mine"


def test_a_wrong_or_missing_download_says_where_to_get_it(server) -> None:
    server.write_bytes(b"something else")
    with pytest.raises(FileNotFoundError, match=r"SHA-256.*get it from file:.*--landmarker FILE"):
        find_model()
    server.unlink()
    with pytest.raises(FileNotFoundError, match=r"could not be downloaded"):
        find_model()
    with pytest.raises(FileNotFoundError, match=r"expected MediaPipe's model file here or in .*cache"):
        find_model(download=False)
    assert not list(server.parent.glob("cache/**/*.task"))


def test_mediapipe_is_asked_for_before_the_download(server, monkeypatch) -> None:
    monkeypatch.setattr(mfn.fitting.landmarker, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "\.\[annotate\]"'):
        find_model()
