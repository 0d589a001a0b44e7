"""Views of one face are merged; faces are tried in more views where needed; the network replaces landmarks in profile."""

from collections.abc import Sequence

import numpy as np
import pytest

from mfn.fitting.landmarker import HARD_VIEWS, VIEWS, LandmarkResult, View, bounding_boxes
from mfn.fitting.multi_view import blend_with_network, consensus, detect_faces
from mfn.structures.camera import rotation_from_euler
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES

NAMES = ["_neutral", *EXPRESSION_NAMES]
IMAGE = np.zeros((200, 400, 3), np.uint8)


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


def face_at(model: HeadModel, x: float, yaw: float = 0.0) -> Faces:
    """One mean head."""
    face = Faces(
        image=[0], box=np.zeros((1, 4)), score=[1], rotation=rotation_from_euler(np.array([[0.0, yaw, 0.0]])), scale=[500.0],
        center=[[x, 100.0]], identity=np.zeros((1, model.identity_size)), expression=np.zeros((1, 51)), track=[-1],
    )  # fmt: skip
    return face.replace(box=model.boxes(face))


def landmarks_of(model: HeadModel, face: Faces) -> LandmarkResult:
    """The landmarks of a face, as a perfect landmarker would find them."""
    return LandmarkResult(model.landmarks(face, "mediapipe478"), np.zeros((len(face), 52), np.float32), face.rotation)


class FakeLandmarker:
    """Finds `first` in the whole image, and in each view the face of `hidden` or `first` that lies in the box."""

    names = NAMES

    def __init__(self, first: LandmarkResult, hidden: LandmarkResult) -> None:
        self.first, self.all = first, LandmarkResult.concatenate([first, hidden])
        self.asked: list[Sequence[View]] = []

    def __call__(self, image: np.ndarray, single: bool = False) -> LandmarkResult:
        return self.first

    def detect_in_views(self, image: np.ndarray, box: np.ndarray, views: Sequence[View] = VIEWS) -> LandmarkResult:
        self.asked.append(views)
        boxes = bounding_boxes(self.all.points)
        inside = np.abs(boxes.mean(1) - box.mean()) < 20
        return LandmarkResult.concatenate([self.all[inside]] * len(views))


def test_consensus_leaves_outliers_out() -> None:
    rng = np.random.default_rng(0)
    face = rng.uniform(0, 100, (478, 3)).astype(np.float32)
    views = np.stack([face + rng.normal(0, 0.3, face.shape) for _ in range(4)] + [face[::-1]]).astype(np.float32)
    rotation = np.tile(np.diag([1.0, -1.0, -1.0]).astype(np.float32), (5, 1, 1))
    merged, apart = consensus(LandmarkResult(views, np.zeros((5, 52), np.float32), rotation))
    assert np.abs(merged.points[0] - face).max() < 1.5 and apart < 1.0
    assert np.allclose(merged.rotation[0], rotation[0])


def test_consensus_of_one_view_is_the_view(model: HeadModel) -> None:
    one = landmarks_of(model, face_at(model, 100))
    merged, spread = consensus(one)
    assert merged is one and spread == 0.0


def test_frontal_faces_get_the_plain_views_and_missed_faces_more(model: HeadModel) -> None:
    first, missed = face_at(model, 100), face_at(model, 300)
    landmarker = FakeLandmarker(landmarks_of(model, first), landmarks_of(model, missed))
    boxes = np.concatenate([first.box, missed.box])
    found, spread = detect_faces(IMAGE, landmarker, boxes)  # type: ignore[arg-type]
    assert len(found) == len(spread) == 2 and spread.max() < 1e-3
    assert landmarker.asked == [VIEWS, (*VIEWS, *HARD_VIEWS)]
    np.testing.assert_allclose(found.points[1], model.landmarks(missed, "mediapipe478")[0], atol=1e-3)


def test_faces_that_are_turned_away_get_hard_views(model: HeadModel) -> None:
    landmarker = FakeLandmarker(landmarks_of(model, face_at(model, 100, yaw=1.0)), LandmarkResult.empty())
    detect_faces(IMAGE, landmarker, np.zeros((0, 4), np.float32))  # type: ignore[arg-type]
    assert landmarker.asked == [VIEWS, HARD_VIEWS]


def test_without_views_the_first_pass_is_accepted(model: HeadModel) -> None:
    first = landmarks_of(model, face_at(model, 100))
    landmarker = FakeLandmarker(first, LandmarkResult.empty())
    found, _ = detect_faces(IMAGE, landmarker, np.zeros((0, 4), np.float32), ())  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.points, first.points)
    assert landmarker.asked == []
    none = FakeLandmarker(LandmarkResult.empty(), LandmarkResult.empty())
    assert len(detect_faces(IMAGE, none, np.zeros((0, 4), np.float32))[0]) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("yaw, share", [(0.3, 0.0), (1.2, 1.0)])
def test_the_network_replaces_landmarks_in_profile(model: HeadModel, yaw: float, share: float) -> None:
    face = face_at(model, 100, yaw)
    shifted = landmarks_of(model, face.replace(center=face.center + np.float32(5)))
    blended = blend_with_network(shifted, face, model, NAMES)
    expected = shifted.points[..., :2] - 5 * share
    np.testing.assert_allclose(blended.points[..., :2], expected, atol=1e-3)


def test_faces_that_only_the_network_found_are_added(model: HeadModel) -> None:
    known, added = face_at(model, 100), face_at(model, 300)
    blended = blend_with_network(landmarks_of(model, known), Faces.concatenate([known, added]), model, NAMES)
    assert len(blended) == 2
    np.testing.assert_allclose(blended.points[1], model.landmarks(added, "mediapipe478")[0], atol=1e-3)
    alone = blend_with_network(LandmarkResult.empty(), added, model, NAMES)
    assert len(alone) == 1 and len(blend_with_network(alone, added[:0], model, NAMES)) == 1
