"""Landmarks from several views of each face, and from our own network.

One forward pass of the landmarker is often not enough: a face that fills the photo, lies on its side or is in profile is missed or badly
located. Further views rotate, pad, mirror and enlarge the face. The median of the views that agree is more accurate than each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mfn.fitting.blendshape_calibration import expression_to_scores
from mfn.fitting.landmarker import HARD_VIEWS, SAME_FACE_IOU, VIEWS, Landmarker, LandmarkResult, View, bounding_boxes
from mfn.structures.boxes import box_iou
from mfn.structures.camera import euler_from_rotation
from retarget.geometry.rotations import nearest_rotation

if TYPE_CHECKING:
    from mfn.structures.faces import Faces
    from mfn.structures.head_model import HeadModel
    from retarget.io.images import Image

Floats = NDArray[np.float32]

MAX_SPREAD_PERCENT = 1.5  # views that lie further apart, in % of the face's size, are followed by more views
FRONTAL_COSINE = 0.75  # faces whose direction deviates more from the camera's axis get more views
# Yaw between which the network's landmarks replace MediaPipe's: past 60 degrees MediaPipe is wrong by a tenth of the face's size.
BLEND_YAW_RAD = (0.7, 1.05)


def consensus(result: LandmarkResult) -> tuple[LandmarkResult, float]:
    """Merge several views of one face: the median of the views near the one that is nearest to all others.

    Args:
        result: one row for each view, at least one.

    Returns:
        One row, and the mean distance between the merged views in % of the face's size; 0 for a single view.
    """
    if len(result) == 1:
        return result, 0.0
    flat = result.points[..., :2]
    size = np.sqrt(np.maximum(np.ptp(flat, axis=1).prod(1), 1e-6))
    distance = np.linalg.norm(flat[:, None] - flat[None], axis=3).mean(2) / np.median(size) * 100
    best = int(np.median(distance, axis=1).argmin())
    near = distance[best] <= max(3.0, 2 * float(np.median(distance[best])))
    points, scores = (np.median(part[near], axis=0)[None].astype(np.float32) for part in (result.points, result.scores))
    rotation = nearest_rotation(result.rotation[near].sum(0))
    count = int(near.sum())
    spread = float(distance[near][:, near].sum() / max(count * (count - 1), 1))
    return LandmarkResult(points, scores, rotation[None].astype(np.float32)), spread


def detect_faces(
    image: Image, landmarker: Landmarker, boxes: Floats, views: Sequence[View] = VIEWS, alone: bool = False
) -> tuple[LandmarkResult, Floats]:
    """Detect all faces of an image, each in several views.

    Args:
        image: (H, W, 3) uint8 RGB.
        landmarker: the pseudo-label model.
        boxes: (B, 4) px, faces that a detector found; those that the landmarker misses are tried again in more views.
        views: views of each face that the landmarker found; () accepts its first forward pass as it is.
        alone: no detector looked for faces, so that a face that fills the photo is looked for if nothing else was found: the landmarker
            misses it as it is.

    Returns:
        N rows, and the spread (N,) of the views of each in % of the face's size (see `consensus`).
    """
    first = landmarker(image)
    if alone and not len(first):
        height, width = image.shape[:2]
        boxes = np.array([[0.2 * width, 0.2 * height, 0.8 * width, 0.8 * height]], np.float32)
    own = bounding_boxes(first.points)
    missed = boxes[(box_iou(own, boxes) < SAME_FACE_IOU).all(0)] if len(own) and len(boxes) else boxes
    candidates = [[first[[i]], _more_views(image, landmarker, box, views)] for i, box in enumerate(own)]
    candidates += [[landmarker.detect_in_views(image, box, (*views, *HARD_VIEWS))] for box in missed]
    merged = [consensus(rows) for rows in map(LandmarkResult.concatenate, candidates) if len(rows)]
    results = LandmarkResult.concatenate([result for result, _ in merged])
    return results, np.array([spread for _, spread in merged], np.float32)


def _more_views(image: Image, landmarker: Landmarker, box: Floats, views: Sequence[View]) -> LandmarkResult:
    """Detect one face in `views`; also in `HARD_VIEWS` if it is turned away, was missed, or if the views disagree."""
    if not views:
        return LandmarkResult.empty()
    result = landmarker.detect_in_views(image, box, views)
    if len(result) == 0:
        return landmarker.detect_in_views(image, box, HARD_VIEWS)
    merged, spread = consensus(result)
    if spread < MAX_SPREAD_PERCENT and merged.rotation[0, 2, 2] < -FRONTAL_COSINE:
        return result
    return LandmarkResult.concatenate([result, landmarker.detect_in_views(image, box, HARD_VIEWS)])


def blend_with_network(result: LandmarkResult, faces: Faces, model: HeadModel, names: Sequence[str]) -> LandmarkResult:
    """Replace landmarks by those of our network where MediaPipe is unreliable: in profile, and for faces that it missed.

    Args:
        result: N rows of MediaPipe.
        faces: the network's faces of the same image.
        model: the head model, which turns faces into landmarks.
        names: B names of the blendshape scores.

    Returns:
        N rows whose points go over to the network's between the yaws `BLEND_YAW_RAD`, followed by the faces that only the network found.
    """
    if len(faces) == 0:
        return result
    points = model.landmarks(faces, "mediapipe478")
    iou = box_iou(bounding_boxes(result.points), bounding_boxes(points)) if len(result) else np.zeros((0, len(faces)), np.float32)
    blended = result.points.copy()
    for i, row in enumerate(iou):
        j = int(row.argmax())
        if row[j] > SAME_FACE_IOU:
            yaw = max(float(np.abs(euler_from_rotation(r)[1])) for r in (result.rotation[i], faces.rotation[j]))
            weight = np.clip((yaw - BLEND_YAW_RAD[0]) / (BLEND_YAW_RAD[1] - BLEND_YAW_RAD[0]), 0, 1)
            blended[i, :, :2] += weight * (points[j] - blended[i])[:, :2]
            depth = points[j, :, 2] - points[j, :, 2].mean() + blended[i, :, 2].mean()
            blended[i, :, 2] += weight * (depth - blended[i, :, 2])
    only_network = (iou <= SAME_FACE_IOU).all(0) if len(iou) else np.ones(len(faces), bool)
    scores = expression_to_scores(faces.expression[only_network], names)
    added = LandmarkResult(points[only_network], scores, faces.rotation[only_network])
    return LandmarkResult.concatenate([LandmarkResult(blended, result.scores, result.rotation), added])
