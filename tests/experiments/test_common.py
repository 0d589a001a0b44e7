"""Reports, evaluation sets and the small helpers that the experiments share."""

import json

import numpy as np
import pytest

from experiments import common
from mfn.structures.faces import Faces
from tests.experiments.builders import SCORE, numbered_pictures, one_face, write_tar


def test_a_report_has_a_header_without_a_date_and_replaces_the_file(tmp_path):
    weights = tmp_path / "a.onnx"
    weights.write_bytes(b"abc")
    path = tmp_path / "new" / "report.json"
    for value in (1.5, 2.5):
        common.write_report(path, common.__file__, {"ap": value}, weights)
    report = json.loads(path.read_text())
    assert list(report) == ["script", "weights_sha256", "cpu_seconds", "ap"] and report["ap"] == 2.5
    assert report["script"] == "experiments.common" and report["weights_sha256"] == common.sha256(weights)
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]


def test_digests_of_named_files_and_of_lists_of_files(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert common.digests_of({"x": file, "y": [file, file]}) == {"x": empty, "y": [empty, empty]}


def test_check_accepts_the_same_figures_and_other_times(tmp_path, capsys):
    parser = common.make_parser("A script.", tmp_path / "report.json")
    figures = {"ap": 0.5, "nan": float("nan"), "rows": [{"n": 1, "cpu_seconds": 2.0}], "detect_ms": {"1": 3.0}}
    common.save_report(parser.parse_args([]), common.__file__, figures)
    same = figures | {"rows": [{"n": 1, "cpu_seconds": 9.0}], "detect_ms": {"1": 4.0}}
    common.save_report(parser.parse_args(["--check"]), common.__file__, same)
    assert "the same figures" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"/ap: was 0.5, is 0.6"):
        common.save_report(parser.parse_args(["--check"]), common.__file__, figures | {"ap": 0.6})


@pytest.mark.parametrize(
    ("known", "measured", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, ["/b: was None, is 2"]),
        ({"a": [1, 2]}, {"a": [1, 3]}, ["/a/1: was 2, is 3"]),
        ({"a": [1, 2]}, {"a": [1]}, ["/a: was [1, 2], is [1]"]),
        ({"script": "x", "cpu_seconds": 1, "us_100": 1}, {"us_100": 1}, []),
    ],
)
def test_differences_name_the_place(known, measured, expected):
    assert common.differences(known, measured) == expected


def test_an_evaluation_set_is_read_with_its_yaw_groups(tmp_path):
    pictures = numbered_pictures(4)
    points = np.random.default_rng(0).uniform(0, 40, (4, 70, 3)).astype(np.float32)
    pose = np.radians(np.array([[0, 10, 0], [0, -45, 0], [0, 75, 0], [0, 30, 0]]))
    write_tar(tmp_path / "faces.tar", pictures)
    np.savez(tmp_path / "faces.npz", landmarks=points, pose=pose)
    data = common.read_evaluation_set(tmp_path, "faces")
    assert [int(picture[0, 0, 0]) for picture in data.pictures] == [0, 1, 2, 3]
    np.testing.assert_allclose(data.points, points[:, :68, :2])
    groups = data.yaw_groups()
    assert {name: mask.nonzero()[0].tolist() for name, mask in groups.items()} == {
        "all": [0, 1, 2, 3],
        "0-30": [0, 3],
        "30-60": [1],
        "60+": [2],
    }
    assert list(common.yaw_groups(None, 2)) == ["all"]


def test_missing_files_say_what_to_give(tmp_path):
    for call in (lambda: common.read_evaluation_set(tmp_path, "x"), lambda: common.load_score(tmp_path)):
        with pytest.raises(FileNotFoundError, match="--eval"):
            call()
    with pytest.raises(FileNotFoundError, match="expected a clip"):
        common.read_clip(tmp_path / "x.mp4", 3)


def test_score_comes_from_the_folder(tmp_path):
    (tmp_path / "score.py").write_text(SCORE)
    score = common.load_score(tmp_path)
    true = np.array([[[0.0, 0], [10, 10]]])
    np.testing.assert_allclose(score.nme(true + [3, 4], true), [50.0])


def test_a_clip_is_read_in_order(tmp_path):
    import cv2

    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 32))
    for level in (0, 60, 120, 180, 240):
        writer.write(np.full((32, 32, 3), level, np.uint8))
    writer.release()
    levels = [frame.mean() for frame in common.read_clip(tmp_path / "clip.avi", 4, every=2)]
    np.testing.assert_allclose(levels, [0, 120], atol=4)


def test_the_face_at_a_box_is_the_one_that_overlaps_most():
    faces = Faces.concatenate([one_face((0, 0, 10, 10)), one_face((2, 2, 12, 12)), one_face((50, 50, 60, 60))])
    assert common.index_of_box(faces.box, np.array([3, 3, 13, 13])) == 1
    assert len(common.face_at(faces, np.array([30, 30, 40, 40]))) == 0
    assert common.index_of_box(faces.box[:0], np.array([0, 0, 1, 1])) is None
    np.testing.assert_array_equal(common.box_of_points(np.array([[1, 5], [4, 2]])), [1, 2, 4, 5])


def test_finite_mean_leaves_misses_out():
    assert common.finite_mean(np.array([1.0, np.nan, 2.0])) == 1.5
    assert np.isnan(common.finite_mean(np.array([np.nan])))


def test_roc_auc_agrees_with_counting_pairs():
    rng = np.random.default_rng(0)
    high, low = rng.integers(0, 9, 30) / 8, rng.integers(0, 6, 40) / 8
    gap = high[:, None] - low[None]
    assert common.roc_auc(high, low) == pytest.approx(((gap > 0) + 0.5 * (gap == 0)).mean())


def test_named_arguments():
    assert common.split_named(["a=b", "c=d=e"]) == {"a": "b", "c": "d=e"}
    for wrong in (["a"], ["=b"], ["a="], ["a=b", "a=c"]):
        with pytest.raises(ValueError, match="expected NAME=FILE"):
            common.split_named(wrong)


def test_a_markdown_table_has_a_head_and_a_rule():
    assert common.markdown_table(["a", "b"], [[1, "x"]]) == "| a | b |\n| --- | --- |\n| 1 | x |"


def test_a_grid_fills_its_last_row():
    tiles = numbered_pictures(3, 2, 2)
    grid = common.picture_grid(tiles, 2, fill=255)
    assert grid.shape == (4, 4, 3) and grid[::2, ::2, 0].tolist() == [[0, 1], [2, 255]]
    with pytest.raises(ValueError, match="at least one"):
        common.picture_grid([], 2)
