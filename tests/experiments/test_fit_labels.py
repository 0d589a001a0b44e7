"""experiments/labels/fit.py: faces turned to the side are looked at again, and only those."""

from __future__ import annotations

import io
import tarfile

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from experiments.labels.fit import TURNED, look_again, teacher_rotation  # noqa: E402
from mfn.fitting.blendshape_calibration import scores_to_expression  # noqa: E402
from mfn.fitting.landmarker import LandmarkResult  # noqa: E402
from mfn.structures.camera import FRONTAL, rotation_about  # noqa: E402
from retarget.arkit import EXPRESSION_NAMES  # noqa: E402

NAMES = ["_neutral", *EXPRESSION_NAMES]
SMILING = np.where(np.char.startswith(NAMES, "mouthSmile"), 0.6, 0)[None].astype(np.float32)


class Teacher:
    """Sees the true points of every face it is asked for, with some noise each time."""

    def __init__(self, true: np.ndarray, rotation: np.ndarray) -> None:
        self.true, self.rotation, self.names, self.asked = true, rotation, NAMES, 0
        self.noise = np.random.default_rng(0)

    def detect_in_views(self, picture, box, views):
        self.asked += 1
        assert (picture == 7).all(), "of the picture that the face is in"
        points = self.true + self.noise.normal(0, 0.2, (len(views), *self.true.shape))
        scores = np.tile(SMILING, (len(views), 1))
        return LandmarkResult(points.astype(np.float32), scores.astype(np.float32), np.tile(self.rotation, (len(views), 1, 1)))


def test_only_turned_faces_are_looked_at_again_and_come_nearer(tmp_path):
    rng = np.random.default_rng(1)
    with tarfile.open(tmp_path / "pack.tar", "w") as tar:
        for number in range(2):
            data = cv2.imencode(".png", np.full((100, 100, 3), 7 * number, np.uint8))[1].tobytes()
            info = tarfile.TarInfo(f"{number}.png")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    true = rng.uniform(20, 80, (478, 3)).astype(np.float32)
    ahead, turned = FRONTAL, (FRONTAL @ rotation_about("y", np.radians(TURNED + 8))).astype(np.float32)
    transform = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    transform[:, :3, :3] = FRONTAL @ np.stack([ahead, turned])
    pack = {"face_picture": np.array([0, 1]), "face_transform": transform}
    points = torch.from_numpy(np.stack([true, true + rng.normal(0, 3, true.shape).astype(np.float32)]))
    teacher = torch.from_numpy(scores_to_expression(np.zeros((2, len(NAMES)), np.float32), NAMES))
    before, told = points.clone(), teacher.clone()
    better = (FRONTAL @ rotation_about("y", np.radians(TURNED + 20))).astype(np.float32)
    eyes = Teacher(true, better)
    count, moved = look_again(pack, tmp_path / "pack.tar", points, teacher, eyes)
    assert count == eyes.asked == 1 and moved > 1
    assert torch.equal(points[0], before[0]) and torch.equal(teacher[0], told[0])
    assert np.abs(points[1].numpy() - true).mean() < 0.1 * np.abs(before[1].numpy() - true).mean()
    np.testing.assert_allclose(teacher[1], scores_to_expression(SMILING, NAMES)[0], atol=1e-6)
    np.testing.assert_allclose(teacher_rotation(pack["face_transform"])[1], better, atol=1e-4)
