"""Evaluation sets, clips, and the face that belongs to a true box."""

import numpy as np
import pytest

from experiments.accuracy import evaluation_sets
from mfn.structures.faces import Faces
from tests.helpers.experiments import SCORE, numbered_pictures, one_face, write_tar


def test_an_evaluation_set_is_read_with_its_yaw_groups(tmp_path):
    pictures = numbered_pictures(4)
    points = np.random.default_rng(0).uniform(0, 40, (4, 70, 3)).astype(np.float32)
    pose = np.radians(np.array([[0, 10, 0], [0, -45, 0], [0, 75, 0], [0, 30, 0]]))
    write_tar(tmp_path / "faces.tar", pictures)
    np.savez(tmp_path / "faces.npz", landmarks=points, pose=pose)
    data = evaluation_sets.read_evaluation_set(tmp_path, "faces")
    assert [int(picture[0, 0, 0]) for picture in data.pictures] == [0, 1, 2, 3]
    np.testing.assert_allclose(data.points, points[:, :68, :2])
    groups = data.yaw_groups()
    assert {name: mask.nonzero()[0].tolist() for name, mask in groups.items()} == {
        "all": [0, 1, 2, 3],
        "0-30": [0, 3],
        "30-60": [1],
        "60+": [2],
    }
    assert list(evaluation_sets.yaw_groups(None, 2)) == ["all"]


def test_missing_files_say_what_to_give(tmp_path):
    for call in (lambda: evaluation_sets.read_evaluation_set(tmp_path, "x"), lambda: evaluation_sets.load_score(tmp_path)):
        with pytest.raises(FileNotFoundError, match="--eval"):
            call()
    with pytest.raises(FileNotFoundError, match="expected a clip"):
        evaluation_sets.read_clip(tmp_path / "x.mp4", 3)


def test_score_comes_from_the_folder(tmp_path):
    (tmp_path / "score.py").write_text(SCORE)
    score = evaluation_sets.load_score(tmp_path)
    true = np.array([[[0.0, 0], [10, 10]]])
    np.testing.assert_allclose(score.nme(true + [3, 4], true), [50.0])


def test_a_clip_is_read_in_order(tmp_path):
    import cv2

    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 32))
    for level in (0, 60, 120, 180, 240):
        writer.write(np.full((32, 32, 3), level, np.uint8))
    writer.release()
    levels = [frame.mean() for frame in evaluation_sets.read_clip(tmp_path / "clip.avi", 4, every=2)]
    np.testing.assert_allclose(levels, [0, 120], atol=4)


def test_the_face_at_a_box_is_the_one_that_overlaps_most():
    faces = Faces.concatenate([one_face((0, 0, 10, 10)), one_face((2, 2, 12, 12)), one_face((50, 50, 60, 60))])
    assert evaluation_sets.index_of_box(faces.box, np.array([3, 3, 13, 13])) == 1
    assert len(evaluation_sets.face_at(faces, np.array([30, 30, 40, 40]))) == 0
    assert evaluation_sets.index_of_box(faces.box[:0], np.array([0, 0, 1, 1])) is None
    np.testing.assert_array_equal(evaluation_sets.box_of_points(np.array([[1, 5], [4, 2]])), [1, 2, 4, 5])


def test_finite_mean_leaves_misses_out():
    assert evaluation_sets.finite_mean(np.array([1.0, np.nan, 2.0])) == 1.5
    assert np.isnan(evaluation_sets.finite_mean(np.array([np.nan])))


def test_roc_auc_agrees_with_counting_pairs():
    rng = np.random.default_rng(0)
    high, low = rng.integers(0, 9, 30) / 8, rng.integers(0, 6, 40) / 8
    gap = high[:, None] - low[None]
    assert evaluation_sets.roc_auc(high, low) == pytest.approx(((gap > 0) + 0.5 * (gap == 0)).mean())
