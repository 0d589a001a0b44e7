"""MediaPipe's Face Landmarker, the pseudo-label model: landmarks of all faces, or of one face in several views.

It needs the extra `annotate` (`pip install ".[annotate]"`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.boxes import box_iou
from mfn.structures.camera import FRONTAL
from mfn.structures.flip import MEDIAPIPE_FLIP
from retarget.arkit import EXPRESSION_NAMES, MIRROR
from retarget.geometry.rotations import nearest_rotation
from retarget.io.downloads import cache_folder, download_file

if TYPE_CHECKING:
    from retarget.io.images import Image

Floats = NDArray[np.float32]

MODEL_NAME = "face_landmarker.task"
MODEL_URL = f"https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/{MODEL_NAME}"
MODEL_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
NO_MEDIAPIPE = 'annotating needs MediaPipe: pip install ".[annotate]"'
CROP_PX = 320
SAME_FACE_IOU = 0.3
_POINTS, _SCORES = 478, 52


def find_model(download: bool = True, on_note: Callable[[str], None] = lambda text: None) -> Path:
    """Find MediaPipe's model file, or download it once.

    Args:
        download: Whether it may be downloaded, 4 MB from Google's servers.
        on_note: Called with a sentence about the download before it starts.

    Returns:
        The file in the current directory, else the one in the user's folder for caches.

    Raises:
        FileNotFoundError: There is none, and it may not or cannot be downloaded. The message says where to get it.
        ImportError: It would be downloaded, but MediaPipe is not installed.
    """
    kept = cache_folder("mfn") / MODEL_NAME
    for path in (Path(MODEL_NAME), kept):
        if path.is_file():
            return path
    by_hand = f"get it from {MODEL_URL}, and give it by --landmarker FILE, or put it into the current directory"
    if not download:
        raise FileNotFoundError(f"{MODEL_NAME}: expected MediaPipe's model file here or in {kept.parent}; {by_hand}")
    if find_spec("mediapipe") is None:
        raise ImportError(NO_MEDIAPIPE)
    on_note(f"downloading MediaPipe's model file, 4 MB, into {kept.parent}")
    try:
        download_file(MODEL_URL, kept, MODEL_SHA256)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(f"{MODEL_NAME}: MediaPipe's model file could not be downloaded ({error}); {by_hand}") from error
    return kept


@contextmanager
def without_stderr() -> Iterator[None]:
    """Drop what is written to the process's standard error, also by C++: MediaPipe writes ten lines that mean nothing to its user."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


@dataclass(frozen=True)
class LandmarkResult:
    """Landmarks of N faces.

    Attributes:
        points: (N, 478, 3) float32: x y in px of the photo, and depth on the scale of x; smaller is nearer.
        scores: (N, 52) float32 in [0, 1], blendshapes in the order of `Landmarker.names`.
        rotation: (N, 3, 3) float32, head to camera, as MediaPipe estimates it.
    """

    points: Floats
    scores: Floats
    rotation: Floats

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, rows: slice | Sequence[int] | NDArray[Any]) -> LandmarkResult:
        """Select rows by mask, indices or slice."""
        return LandmarkResult(self.points[rows], self.scores[rows], self.rotation[rows])

    @classmethod
    def empty(cls) -> LandmarkResult:
        """Make a result without faces."""
        shapes = (0, _POINTS, 3), (0, _SCORES), (0, 3, 3)
        return cls(*(np.zeros(shape, np.float32) for shape in shapes))

    @classmethod
    def concatenate(cls, parts: Sequence[LandmarkResult]) -> LandmarkResult:
        """Join the rows of all parts, in order."""
        if not parts:
            return cls.empty()
        names = ("points", "scores", "rotation")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]).astype(np.float32) for name in names))


class View(NamedTuple):
    """A view of one face.

    Attributes:
        size: side of the square crop, in sizes of the face's box.
        roll_rad: rotation of the crop, radians, clockwise.
        mirror: flip left and right.
    """

    size: float = 2.0
    roll_rad: float = 0.0
    mirror: bool = False


#: Views of every face.
VIEWS = (View(), View(1.6), View(2.0, mirror=True), View(2.6), View(1.6, mirror=True))
#: More views for faces that are turned away, missed, or located differently by `VIEWS`.
HARD_VIEWS = (View(1.3), View(3.5), View(2.0, 0.35), View(2.0, -0.35), View(2.6, 0.7), View(2.6, -0.7), View(4.5, mirror=True))


class Landmarker:
    """Detects faces and their landmarks with MediaPipe's Face Landmarker. Use it in a `with` statement."""

    def __init__(self, path: str | Path, min_confidence: float = 0.3, max_faces: int = 20) -> None:
        """Load the model.

        Args:
            path: MediaPipe's face_landmarker.task.
            min_confidence: smallest confidence of a face that is reported, 0 to 1.
            max_faces: largest number of faces of a photo.

        Raises:
            FileNotFoundError: there is no such file.
            ImportError: MediaPipe is not installed.
            ValueError: the file is not a landmarker model.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: expected MediaPipe's face_landmarker.task; download it from {MODEL_URL}")
        try:
            from mediapipe.tasks import python as tasks
            from mediapipe.tasks.python import vision
        except ImportError:
            raise ImportError(NO_MEDIAPIPE) from None
        self._path, self._min_confidence, self._tasks, self._vision = path, min_confidence, tasks, vision
        self._many, self._single = self._create(max_faces), self._create(1)
        self.names: list[str] = []
        """Names of the blendshape scores; empty until the first face was found."""

    def close(self) -> None:
        """Free MediaPipe's memory. The landmarker cannot be used afterwards."""
        for part in (self._many, self._single):
            part.close()

    def __enter__(self) -> Landmarker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, image: Image, single: bool = False) -> LandmarkResult:
        """Detect the faces of an image.

        Args:
            image: (H, W, 3) uint8 RGB.
            single: report at most one face.
        """
        import mediapipe

        source = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        found = (self._single if single else self._many).detect(source)
        if not found.face_landmarks:
            return LandmarkResult.empty()
        if not self.names:
            self.names = [score.category_name for score in found.face_blendshapes[0]]
        height, width = image.shape[:2]
        points = np.array([[(p.x, p.y, p.z) for p in face] for face in found.face_landmarks], np.float32)
        scores = np.array([[score.score for score in face] for face in found.face_blendshapes], np.float32)
        pose = np.array(found.facial_transformation_matrixes, np.float32)[:, :3, :3]
        rotation = (FRONTAL @ nearest_rotation(pose)).astype(np.float32)  # MediaPipe's matrices include a scale
        return LandmarkResult(points * np.array([width, height, width], np.float32), scores, rotation)

    def detect_in_views(self, image: Image, box: Floats, views: Sequence[View] = VIEWS) -> LandmarkResult:
        """Detect one face in several views.

        Args:
            image: (H, W, 3) uint8 RGB.
            box: (4,) x1 y1 x2 y2 px of the face.
            views: the views to try.

        Returns:
            One row for each view in which the face was found, in px of the image.
        """
        import cv2

        rows = []
        for view in views:
            matrix = _view_matrix(box, view)
            shrinks = abs(np.linalg.det(matrix[:, :2])) < 1
            method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            crop = cv2.warpAffine(image, matrix, (CROP_PX, CROP_PX), flags=method, borderMode=cv2.BORDER_CONSTANT)
            result = self(np.asarray(crop, np.uint8), single=True)
            if len(result):
                result = self._to_image(result, matrix, view)
                if box_iou(bounding_boxes(result.points), box[None])[0, 0] > SAME_FACE_IOU:  # else it is a neighbor
                    rows.append(result)
        return LandmarkResult.concatenate(rows)

    def _create(self, max_faces: int) -> Any:
        """Create a vision.FaceLandmarker."""
        options = self._vision.FaceLandmarkerOptions(
            base_options=self._tasks.BaseOptions(model_asset_path=str(self._path)),
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
            num_faces=max_faces,
            min_face_detection_confidence=self._min_confidence,
            min_face_presence_confidence=self._min_confidence,
        )
        try:
            with without_stderr():
                return self._vision.FaceLandmarker.create_from_options(options)
        except RuntimeError as error:
            raise ValueError(
                f"{self._path}: not MediaPipe's face_landmarker.task ({error}); download it from {MODEL_URL}"
            ) from None

    def _to_image(self, result: LandmarkResult, matrix: NDArray[np.float64], view: View) -> LandmarkResult:
        """Transform a result in a view's crop to the image. matrix: (2, 3) image px to crop px."""
        gain = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        flat = (result.points[..., :2] - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
        points = np.concatenate([flat, result.points[..., 2:] / gain], 2).astype(np.float32)
        c, s = np.cos(view.roll_rad), np.sin(view.roll_rad)
        roll = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        if not view.mirror:
            return LandmarkResult(points, result.scores, (roll @ result.rotation).astype(np.float32))
        flip = np.diag([-1.0, 1.0, 1.0])
        rotation = (roll.T @ flip @ result.rotation @ flip).astype(np.float32)
        return LandmarkResult(points[:, MEDIAPIPE_FLIP], mirror_scores(result.scores, self.names), rotation)


def mirror_scores(scores: Floats, names: Sequence[str]) -> Floats:
    """Compute the blendshape scores of mirrored faces.

    Args:
        scores: (N, B) in [0, 1].
        names: B names of the scores, in any order.

    Returns:
        (N, B), a new array.
    """
    column = {name: i for i, name in enumerate(names)}
    out: Floats = scores.copy()
    for name, twin in zip(EXPRESSION_NAMES, MIRROR):
        if name in column:
            out[:, column[name]] = scores[:, column[EXPRESSION_NAMES[twin]]]
    return out


def bounding_boxes(points: Floats) -> Floats:
    """Compute the boxes (N, 4) x1 y1 x2 y2 around points (N, K, 2 or 3)."""
    return np.concatenate([points[..., :2].min(1), points[..., :2].max(1)], 1).reshape(-1, 4)


def _view_matrix(box: Floats, view: View) -> NDArray[np.float64]:
    """Make the matrix (2, 3) from image px to crop px: the box's square scaled, rotated and mirrored about the crop's center."""
    center, side = (box[:2] + box[2:]) / 2, max(float((box[2:] - box[:2]).max()), 1.0)
    gain = CROP_PX / (view.size * side)
    c, s = gain * np.cos(view.roll_rad), gain * np.sin(view.roll_rad)
    linear = np.array([[c, -s], [s, c]]) @ np.diag([-1.0 if view.mirror else 1.0, 1.0])
    return np.concatenate([linear, (CROP_PX / 2 - linear @ center)[:, None]], 1)
