"""Read the evaluation sets and clips, and find a true face among the predicted ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from mfn.structures.boxes import box_iou
from mfn.structures.faces import Faces
from mfn.training.packs.reader import read_pictures
from retarget.io.images import Image

EVALUATION_SETS = ("aflw2000", "facesynthetics", "youtube68")
EVALUATION_CLIPS = ("d0", "d3", "d10", "d12")
FOUND_IOU = 0.25  # a face counts as found when a box overlaps the box of its true points this much


class Score(Protocol):
    """Describe the two functions that the experiments use from the evaluation's own score.py."""

    def nme(self, predicted: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]: ...

    def aligned_nme(self, predicted: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]: ...


class EvaluationSet(NamedTuple):
    """Hold one evaluation set.

    pictures: P arrays (H, W, 3) uint8 RGB; points: (P, 68, 2) float64, true landmarks in picture px;
    pose: (P, 3) pitch, yaw and roll in radians as published, or None.
    """

    pictures: list[Image]
    points: NDArray[np.float64]
    pose: NDArray[np.float64] | None

    def yaw_groups(self) -> dict[str, NDArray[np.bool_]]:
        """Return a mask (P,) for all pictures and, where the pose is known, one for each range of |yaw| in degrees."""
        return yaw_groups(self.pose, len(self.points))


def yaw_groups(pose: NDArray[np.float64] | None, count: int) -> dict[str, NDArray[np.bool_]]:
    """Split pictures by the size of their yaw.

    Args:
        pose: (P, 3) pitch, yaw and roll in radians, or None.
        count: P, the number of pictures.

    Returns:
        Masks (P,) with the names "all" and, if the pose is known, "0-30", "30-60" and "60+".
    """
    groups = {"all": np.ones(count, bool)}
    if pose is not None:
        yaw_deg = np.abs(np.degrees(pose[:, 1]))
        groups |= {"0-30": yaw_deg <= 30, "30-60": (yaw_deg > 30) & (yaw_deg <= 60), "60+": yaw_deg > 60}
    return groups


def read_tar(path: Path) -> list[Image]:
    """Read all pictures of a tar file, in the order of their names, as (H, W, 3) uint8 RGB."""
    return read_pictures(path)


def read_evaluation_set(folder: Path, name: str) -> EvaluationSet:
    """Read the pictures NAME.tar and the labels NAME.npz of a folder.

    Raises:
        FileNotFoundError: One of the two files is missing.
    """
    path = folder / f"{name}.npz"
    if not path.is_file():
        raise FileNotFoundError(f"expected the labels of an evaluation set at {path}: give the folder of the sets with --eval")
    with np.load(path, allow_pickle=False) as data:
        points = data["landmarks"][:, :68, :2].astype(float)
        pose = data.get("pose")
    return EvaluationSet(read_tar(folder / f"{name}.tar"), points, pose)


def load_score(folder: Path) -> Score:
    """Load the evaluation's own score.py from its folder.

    Raises:
        FileNotFoundError: The folder holds no score.py.
    """
    path = folder / "score.py"
    spec = importlib.util.spec_from_file_location("score", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise FileNotFoundError(f"expected the evaluation's score.py at {path}: give the folder of the sets with --eval")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast(Score, module)


def read_clip(path: Path, max_frames: int, every: int = 1) -> list[Image]:
    """Read the first frames of a video clip with OpenCV.

    Args:
        path: The clip.
        max_frames: Number of frames that are decoded at most.
        every: Keep the first and every n-th frame after it.

    Returns:
        Frames (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: There is no such file.
    """
    import cv2

    if not path.is_file():
        raise FileNotFoundError(f"expected a clip at {path}: give the folder of the clips")
    clip = cv2.VideoCapture(str(path))
    frames: list[Image] = []
    for number in range(max_frames):
        success, frame = clip.read()
        if not success:
            break
        if number % every == 0:
            frames.append(np.ascontiguousarray(frame[..., ::-1]))
    clip.release()
    return frames


def box_of_points(points: NDArray[Any]) -> NDArray[Any]:
    """Return the box (4,) x1 y1 x2 y2 around points (L, 2)."""
    return np.concatenate([points.min(0), points.max(0)])


def index_of_box(boxes: NDArray[Any], box: NDArray[Any], min_iou: float = FOUND_IOU) -> int | None:
    """Return the row of `boxes` (N, 4) that overlaps `box` (4,) most, or None if no IoU reaches `min_iou`."""
    if len(boxes) == 0:
        return None
    iou = box_iou(boxes, box[None])[:, 0]
    best = int(iou.argmax())
    return best if iou[best] >= min_iou else None


def face_at(faces: Faces, box: NDArray[Any], min_iou: float = FOUND_IOU) -> Faces:
    """Return the one face that overlaps `box` (4,) most, or no face if no IoU reaches `min_iou`."""
    index = index_of_box(faces.box, box, min_iou)
    return faces[[]] if index is None else faces[[index]]


def finite_mean(values: NDArray[Any], digits: int = 3) -> float:
    """Return the rounded mean of the values that are finite; NaN if there are none."""
    finite = values[np.isfinite(values)]
    return round(float(finite.mean()), digits) if len(finite) else float("nan")


def roc_auc(positive: NDArray[Any], negative: NDArray[Any]) -> float:
    """Return the area under the ROC curve: the chance that a positive value exceeds a negative one, ties counted half."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative)))
