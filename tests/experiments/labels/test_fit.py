"""Labels: faces turned to the side are detected again, people stay together, and files belong to one head model."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from experiments.labels import fit  # noqa: E402
from experiments.labels.landmark_packs import LandmarkPack, pose_to_rotation, read_landmark_pack, sources_with_faces  # noqa: E402
from mfn.fitting.blendshape_calibration import scores_to_expression  # noqa: E402
from mfn.fitting.landmarker import LandmarkResult  # noqa: E402
from mfn.structures.camera import FRONTAL  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from retarget.arkit import EXPRESSION_NAMES  # noqa: E402
from retarget.geometry.rotations import rotation_about  # noqa: E402
from tests.helpers.experiments import numbered_pictures, write_tar  # noqa: E402

NAMES = ["_neutral", *EXPRESSION_NAMES]
SMILING = np.where(np.char.startswith(NAMES, "mouthSmile"), 0.6, 0)[None].astype(np.float32)


class StandInLandmarker:
    """Return the true points of every face with some noise, once for each view."""

    def __init__(self, true: np.ndarray, rotation: np.ndarray) -> None:
        self.true, self.rotation, self.names, self.calls = true, rotation, NAMES, 0
        self.noise = np.random.default_rng(0)

    def detect_in_views(self, picture, box, views):
        self.calls += 1
        assert (picture == 1).all(), "the picture that the face is in"
        points = self.true + self.noise.normal(0, 0.2, (len(views), *self.true.shape))
        scores = np.tile(SMILING, (len(views), 1))
        return LandmarkResult(points.astype(np.float32), scores.astype(np.float32), np.tile(self.rotation, (len(views), 1, 1)))


def pack_of(points: np.ndarray, source: str = "pack", **arrays: np.ndarray) -> LandmarkPack:
    """Return a pack with neutral faces."""
    expression = scores_to_expression(np.zeros((len(points), len(NAMES)), np.float32), NAMES)
    return LandmarkPack(source, arrays, torch.from_numpy(points), torch.from_numpy(expression))


def test_only_turned_faces_are_detected_again_and_come_nearer(tmp_path):
    rng = np.random.default_rng(1)
    write_tar(tmp_path / "pack.tar", numbered_pictures(2, 100, 100))
    true = rng.uniform(20, 80, (478, 3)).astype(np.float32)
    turned = (FRONTAL @ rotation_about("y", np.radians(fit.TURNED_DEG + 8))).astype(np.float32)
    transform = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    transform[:, :3, :3] = FRONTAL @ np.stack([FRONTAL, turned])
    points = np.stack([true, true + rng.normal(0, 3, true.shape).astype(np.float32)])
    pack = pack_of(points, face_picture=np.array([0, 1]), face_transform=transform)
    before, expression = pack.points.clone(), pack.expression.clone()
    better = (FRONTAL @ rotation_about("y", np.radians(fit.TURNED_DEG + 20))).astype(np.float32)
    landmarker = StandInLandmarker(true, better)
    refined = fit.refine_turned_faces(pack, tmp_path / "pack.tar", landmarker)
    assert refined.faces == landmarker.calls == 1 and refined.moved_percent > 1
    assert torch.equal(pack.points[0], before[0]) and torch.equal(pack.expression[0], expression[0])
    assert np.abs(pack.points[1].numpy() - true).mean() < 0.1 * np.abs(before[1].numpy() - true).mean()
    np.testing.assert_allclose(pack.expression[1], scores_to_expression(SMILING, NAMES)[0], atol=1e-6)
    np.testing.assert_allclose(pose_to_rotation(transform)[1], better, atol=1e-4)


def test_a_person_is_the_largest_face_of_a_named_picture():
    points = np.zeros((4, 478, 3), np.float32)
    for row, size in enumerate((10, 30, 20, 5)):
        points[row, 1] = size
    arrays = {"picture_name": np.array(["ann/1", "bob/1", "ann/2"]), "face_picture": np.array([0, 0, 1, 2])}
    assert pack_of(points, "lfw", **arrays).people().tolist() == [-1, 0, 1, 0]
    assert pack_of(points, "unnamed", **arrays).people().tolist() == [-1] * 4


def test_blocks_keep_people_together(monkeypatch):
    monkeypatch.setattr(fit, "BLOCK_FACES", 3)
    person = torch.tensor([2, -1, 1, 1, -1, 2, 1, 1, -1])
    blocks = fit.blocks_of_people(person)
    assert sorted(torch.cat(blocks).tolist()) == list(range(9))
    for number in (1, 2):
        assert sum(bool((person[block] == number).any()) for block in blocks) == 1


def test_fits_come_back_in_the_order_of_the_faces(monkeypatch):
    monkeypatch.setattr(fit, "BLOCK_FACES", 2)

    def stand_in(points, expression, person, basis):
        rows = points[:, 0, 0]
        return fit.FitResult(*(rows for _ in fit.FitResult.__dataclass_fields__))

    monkeypatch.setattr(fit, "fit_people", stand_in)
    points = torch.arange(5.0)[:, None, None].expand(5, 478, 3)
    found = fit.fit_in_blocks(points, torch.zeros(5, 51), torch.tensor([1, 0, -1, 0, 1]), None, "test")
    assert found.scale.tolist() == [0, 1, 2, 3, 4]


def test_boxes_that_the_detector_lacks_are_left_out():
    arrays = {"box": np.array([[0, 0, 20, 20], [0, 0, 40, 40]]), "box_scale": np.array(0.5), "box_picture": np.array([0, 1])}
    arrays["face_picture"] = np.array([0, 1, 2])
    iou = fit.detector_iou(np.array([[0, 0, 10, 10], [0, 0, 20, 10], [0, 0, 9, 9]], np.float32), arrays)
    np.testing.assert_allclose(iou, [1.0, 0.5])


def test_labels_are_written_whole_and_known_by_their_head_model(tmp_path):
    model = HeadModel.load()
    mark = fit.fingerprint(model)
    assert len(mark) == 16 and mark == fit.fingerprint(HeadModel.load())
    path = tmp_path / "a.npz"
    assert not fit.is_fitted(path, mark)
    fit.write_labels(path, {"face": np.arange(3)}, mark)
    assert fit.is_fitted(path, mark) and not fit.is_fitted(path, "0" * 16)


def test_a_pack_is_read_with_calibrated_expressions(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "mediapipe_blendshapes.txt").write_text("\n".join(NAMES))
    landmarks = np.full((2, 478, 3), 40, np.int16)
    scores = np.zeros((2, len(NAMES)), np.uint8)
    np.savez(tmp_path / "faces" / "a.npz", face_landmarks=landmarks, landmark_scale=np.float32(0.25), face_blendshapes=scores)
    np.savez(tmp_path / "faces" / "none.npz", face_landmarks=landmarks[:0], landmark_scale=np.float32(1), face_blendshapes=scores[:0])
    pack = read_landmark_pack(tmp_path, "a")
    assert len(pack) == 2 and float(pack.points.max()) == 10 and pack.expression.shape == (2, 51)
    np.savez(tmp_path / "faces" / "only_pictures.npz", picture_name=np.array(["x"]))
    assert sources_with_faces(tmp_path) == ["a"]
    with pytest.raises(FileNotFoundError, match="--data"):
        read_landmark_pack(tmp_path, "b")
    with pytest.raises(ValueError, match=r"only_pictures\.npz: expected MediaPipe's landmarks of faces"):
        read_landmark_pack(tmp_path, "only_pictures")


def test_a_folder_without_packs_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["fit", "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "labels")])
    with pytest.raises(SystemExit, match="nowhere: expected packs with landmarks in faces/, got none"):
        fit.main()
