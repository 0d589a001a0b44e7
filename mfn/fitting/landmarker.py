"""The landmark teacher at work: MediaPipe's Face Landmarker on pictures, seen in several ways (`pip install '.[annotate]'`).

One look is often not enough: a face too large for its picture, lying on its side, or in profile is missed or read badly. A second look
turns, pads, mirrors and enlarges; where several looks agree, their median is steadier than any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.fitting.blendshape_calibration import expression_to_scores
from mfn.structures.boxes import box_iou
from mfn.structures.camera import FRONTAL, euler_from_rotation
from mfn.structures.flip import MEDIAPIPE_FLIP
from retarget.arkit import EXPRESSION_NAMES, MIRROR
from retarget.geometry.rotations import nearest_rotation

if TYPE_CHECKING:
    from mfn.structures.faces import Faces
    from mfn.structures.head_model import HeadModel
    from retarget.io.images import Picture

Floats = NDArray[np.float32]
WHERE = "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/latest/face_landmarker.task"
CROP_PX = 320
SAME_FACE_IOU = 0.3
DISAGREE = 1.5  # %: looks further apart than this ask for more looks
# radians of yaw over which the teacher, which lives on frontal faces, loses its weight: past 60 degrees it is off by a tenth of the face
WEAK = (0.7, 1.05)
TURNED = 0.75  # cosine of the angle from which on a face is looked at in more ways


class LandmarkResult(NamedTuple):
    """What the teacher saw of N faces.

    points: (N, 478, 3) px of the picture, y down, z on the x scale, smaller is nearer; scores: (N, 52) in [0, 1], named by
    `Landmarker.names`; rotation: (N, 3, 3) its own pose, head to camera (ours: a frontal face has diag(1, -1, -1)).
    """

    points: Floats
    scores: Floats
    rotation: Floats

    def __getitem__(self, rows) -> LandmarkResult:  # type: ignore[no-untyped-def, override]
        return LandmarkResult(self.points[rows], self.scores[rows], self.rotation[rows])


class View(NamedTuple):
    """One way to look at a face. gain: side of the square in sizes of its box; turn: radians, clockwise; mirror: left to right."""

    gain: float = 2.0
    turn: float = 0.0
    mirror: bool = False


VIEWS = (View(), View(1.6), View(2.0, mirror=True), View(2.6), View(1.6, mirror=True))
HARD_VIEWS = (View(1.3), View(3.5), View(2.0, 0.35), View(2.0, -0.35), View(2.6, 0.7), View(2.6, -0.7), View(4.5, mirror=True))


class Landmarker:
    """MediaPipe's Face Landmarker. `path`: its .task file."""

    def __init__(self, path: str | Path, least: float = 0.3, most_faces: int = 20) -> None:
        """least: confidence of the detector below which nothing is a face."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: expected MediaPipe's face_landmarker.task; get it from {WHERE}")
        try:
            from mediapipe.tasks import python as tasks
            from mediapipe.tasks.python import vision
        except ImportError:
            raise ImportError("annotating needs MediaPipe: pip install '.[annotate]'") from None
        self._task, self._least, self._tasks, self._vision = path, least, tasks, vision
        self._many, self._single = self._make(most_faces), self._make(1)
        self.names: list[str] = []

    def close(self) -> None:
        """Frees what MediaPipe holds; nothing works after it."""
        for part in (self._many, self._single):
            part.close()

    def __enter__(self) -> Landmarker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self, most: int):  # type: ignore[no-untyped-def]  # vision.FaceLandmarker
        options = self._vision.FaceLandmarkerOptions(
            base_options=self._tasks.BaseOptions(model_asset_path=str(self._task)),
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
            num_faces=most,
            min_face_detection_confidence=self._least,
            min_face_presence_confidence=self._least,
        )
        try:
            return self._vision.FaceLandmarker.create_from_options(options)
        except RuntimeError as error:
            raise ValueError(f"{self._task}: not MediaPipe's face_landmarker.task ({error}); get it from {WHERE}") from None

    def __call__(self, picture: Picture, single: bool = False) -> LandmarkResult:
        """Every face of a picture (H, W, 3) uint8 RGB; single: at most one."""
        import mediapipe

        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
        found = (self._single if single else self._many).detect(image)
        count = len(found.face_landmarks)
        if count == 0:
            return LandmarkResult(np.zeros((0, 478, 3), np.float32), np.zeros((0, 52), np.float32), np.zeros((0, 3, 3), np.float32))
        if not self.names:
            self.names = [score.category_name for score in found.face_blendshapes[0]]
        width = picture.shape[1]
        size = np.array([width, picture.shape[0], width], np.float32)
        points = np.array([[(p.x, p.y, p.z) for p in face] for face in found.face_landmarks], np.float32) * size
        scores = np.array([[score.score for score in face] for face in found.face_blendshapes], np.float32)
        pose = np.array(found.facial_transformation_matrixes, np.float32)[:, :3, :3]
        return LandmarkResult(points, scores, (FRONTAL @ nearest_rotation(pose)).astype(np.float32))

    def detect_in_views(self, picture: Picture, box: Floats, views: Sequence[View] = VIEWS) -> LandmarkResult:
        """One face, seen in each of `views` in turn; rows for those in which it was found. box: (4,) x1 y1 x2 y2 px."""
        import cv2

        rows = []
        for view in views:
            matrix = _view_matrix(box, view)
            crop = cv2.warpAffine(picture, matrix, (CROP_PX, CROP_PX), flags=_method(matrix), borderMode=cv2.BORDER_CONSTANT)
            seen = self(crop, single=True)
            if len(seen.points):
                back = self._back(seen, matrix, view)
                if box_iou(_boxes(back.points), box[None])[0, 0] > SAME_FACE_IOU:  # not the neighbour's
                    rows.append(back)
        if not rows:
            return self(np.zeros((8, 8, 3), np.uint8), single=True)
        return LandmarkResult(*(np.concatenate(parts) for parts in zip(*rows)))

    def _back(self, seen: LandmarkResult, matrix: NDArray, view: View) -> LandmarkResult:
        """What was seen in a view's crop, in the picture."""
        gain = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        flat = (seen.points[..., :2] - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
        points = np.concatenate([flat, seen.points[..., 2:] / gain], 2).astype(np.float32)
        turn = np.eye(3)
        turn[:2, :2] = [[np.cos(view.turn), np.sin(view.turn)], [-np.sin(view.turn), np.cos(view.turn)]]
        if not view.mirror:
            return LandmarkResult(points, seen.scores, (turn @ seen.rotation).astype(np.float32))
        flip = np.diag([-1.0, 1.0, 1.0])
        rotation = (turn.T @ flip @ seen.rotation @ flip).astype(np.float32)
        return LandmarkResult(points[:, MEDIAPIPE_FLIP], mirror_scores(seen.scores, self.names), rotation)


def mirror_scores(scores: Floats, names: Sequence[str]) -> Floats:
    """Scores (N, B), named in any order, of the mirrored face."""
    at = {name: i for i, name in enumerate(names)}
    out = scores.copy()
    for name, twin in zip(EXPRESSION_NAMES, MIRROR):
        if name in at:
            out[:, at[name]] = scores[:, at[EXPRESSION_NAMES[twin]]]
    return out


def _view_matrix(box: Floats, view: View) -> NDArray[np.float64]:
    """(2, 3) picture px -> crop px: the box's square turned, scaled, mirrored about the crop's middle."""
    middle, side = (box[:2] + box[2:]) / 2, max(float((box[2:] - box[:2]).max()), 1.0)
    gain = CROP_PX / (view.gain * side)
    c, s = gain * np.cos(view.turn), gain * np.sin(view.turn)
    a = np.array([[c, -s], [s, c]]) @ np.diag([-1.0 if view.mirror else 1.0, 1.0])
    return np.concatenate([a, (CROP_PX / 2 - a @ middle)[:, None]], 1)


def _method(matrix: NDArray) -> int:
    import cv2

    return cv2.INTER_AREA if abs(np.linalg.det(matrix[:, :2])) < 1 else cv2.INTER_CUBIC


def consensus(seen: LandmarkResult) -> tuple[LandmarkResult, float]:
    """Several looks at one face (N rows, N > 0) as one: the median of those near the look that lies nearest to all others.

    -> one row, and how far the looks it is made of lie apart, % of the face's size (0 for a single one)
    """
    if len(seen.points) == 1:
        return seen, 0.0
    flat = seen.points[..., :2]
    size = np.sqrt(np.maximum(np.ptp(flat, axis=1).prod(1), 1e-6))
    apart = np.linalg.norm(flat[:, None] - flat[None], axis=3).mean(2) / np.median(size) * 100
    best = int(np.median(apart, axis=1).argmin())
    near = apart[best] <= max(3.0, 2 * float(np.median(apart[best])))
    points, scores = (np.median(part[near], axis=0)[None].astype(np.float32) for part in (seen.points, seen.scores))
    rotation = nearest_rotation(seen.rotation[near].sum(0))
    spread = float(apart[near][:, near].sum() / max(near.sum() * (near.sum() - 1), 1))
    return LandmarkResult(points, scores, rotation[None].astype(np.float32)), spread


def detect_faces(picture: Picture, landmarker: Landmarker, boxes: Floats, looks: Sequence[View] = VIEWS) -> tuple[LandmarkResult, Floats]:
    """Every face of a picture, looked at several times.

    boxes: (B, 4) px, where else a face may be (the network's, a detector's); looks: () takes the first look as it is.
    -> what was seen (N rows), and how far the looks lie apart (N,) % of the face's size
    """
    first = landmarker(picture)
    own = _boxes(first.points)
    missed = boxes[(box_iou(own, boxes) < SAME_FACE_IOU).all(0)] if len(own) and len(boxes) else boxes
    rows: list[tuple[LandmarkResult | None, LandmarkResult | None]]
    rows = [(_second_look(picture, landmarker, box, looks), first[[i]]) for i, box in enumerate(own)]  # type: ignore[misc]
    rows += [(_second_look(picture, landmarker, box, (*looks, *HARD_VIEWS)), None) for box in missed]
    seen, spread = [], []
    for looked, plain in rows:
        both = [part for part in (plain, looked) if part is not None and len(part.points)]
        if both:
            merged, apart = consensus(LandmarkResult(*(np.concatenate(parts) for parts in zip(*both))))
            seen.append(merged)
            spread.append(apart)
    if not seen:
        return first[:0], np.zeros(0, np.float32)  # type: ignore[return-value]
    return LandmarkResult(*(np.concatenate(parts) for parts in zip(*seen))), np.array(spread, np.float32)


def _boxes(points: Floats) -> Floats:
    """Points (N, K, 2 or 3) px -> (N, 4) x1 y1 x2 y2."""
    return np.concatenate([points[..., :2].min(1), points[..., :2].max(1)], 1).reshape(-1, 4)


def blend_with_network(seen: LandmarkResult, faces: Faces, model: HeadModel, names: list[str]) -> LandmarkResult:
    """What the teacher saw, with our network's word where the teacher is weak: in profile, and where it sees nothing.

    faces: the network's, of the same picture. Between the yaws `WEAK` its points gain weight until they alone count;
    faces that it alone found are added as it sees them. names: of the scores.
    """
    if len(faces) == 0:
        return seen
    points = model.landmarks(faces, "mediapipe478")
    shared = box_iou(_boxes(seen.points), _boxes(points)) if len(seen.points) else np.zeros((0, len(faces)))
    mixed = seen.points.copy()
    for i, row in enumerate(shared):
        j = int(row.argmax())
        yaw = max(float(np.abs(euler_from_rotation(r)[1])) for r in (seen.rotation[i], faces.rotation[j]))
        if row[j] > SAME_FACE_IOU:
            weight = np.clip((yaw - WEAK[0]) / (WEAK[1] - WEAK[0]), 0, 1)
            mixed[i, :, :2] += weight * (points[j] - mixed[i])[:, :2]
            depth = points[j, :, 2] - points[j, :, 2].mean() + mixed[i, :, 2].mean()
            mixed[i, :, 2] += weight * (depth - mixed[i, :, 2])
    alone = (shared <= SAME_FACE_IOU).all(0) if len(shared) else np.ones(len(faces), bool)
    scores = expression_to_scores(faces.expression[alone], names)
    parts = (mixed, points[alone]), (seen.scores, scores), (seen.rotation, faces.rotation[alone])
    return LandmarkResult(*(np.concatenate(part).astype(np.float32) for part in parts))


def _second_look(picture: Picture, landmarker: Landmarker, box: Floats, looks: Sequence[View]) -> LandmarkResult | None:
    """The box's face in each view, harder ones too where it turned out to be turned far, or where the views disagree."""
    if not looks:
        return None
    seen = landmarker.detect_in_views(picture, box, looks)
    if len(seen.points) == 0:
        return landmarker.detect_in_views(picture, box, HARD_VIEWS)
    middle, apart = consensus(seen)
    if apart < DISAGREE and middle.rotation[0, 2, 2] < -TURNED:
        return seen
    more = landmarker.detect_in_views(picture, box, HARD_VIEWS)
    return LandmarkResult(*(np.concatenate(parts) for parts in zip(seen, more)))
