"""Share what the measurements of the label fitter need: the head model, the landmark detector and fitted evaluation sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.accuracy.evaluation_sets import box_of_points, index_of_box
from experiments.labels.landmark_packs import LandmarkPack, read_landmark_pack
from mfn.fitting.blendshape_calibration import scores_to_expression
from mfn.fitting.fit_basis import FitBasis, basis_from_head_model
from mfn.fitting.fitter import FitResult, fit, fit_to_faces
from mfn.fitting.landmarker import Landmarker, LandmarkResult
from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES

TASK = "face_landmarker_v2_with_blendshapes.task"
FACE_DEPTH_M = -0.03  # vertices behind it do not belong to the face's front


class Bench:
    """Hold the data folder, the head model and its points for the fitter.

    Args:
        shared: Folder with data/ and eval/.
        labels: Folder of the fitted labels of the packs; None: there are none.
    """

    def __init__(self, shared: Path, labels: Path | None = None) -> None:
        self.shared, self.labels, self.model = shared, labels, HeadModel.load()
        self.basis: FitBasis = basis_from_head_model(self.model)
        face = self.model.region_mask("face", "lids", "lips", "brows") & (self.model.mean[:, 2] > FACE_DEPTH_M)
        self.face_basis = self.model.identity_basis[:, face].reshape(self.model.identity_size, -1)

    def landmarker(self) -> Landmarker:
        """Load MediaPipe's Face Landmarker."""
        return Landmarker(self.shared / "data" / TASK)

    def read_pack(self, source: str) -> LandmarkPack:
        """Read a pack with its landmarks."""
        return read_landmark_pack(self.shared / "data", source)

    def identity_distance_mm(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
        """Return the distance (N,) of identities (N, I): root mean square over the neutral face's vertices, mm."""
        moved = (np.asarray(a) - np.asarray(b)) @ self.face_basis
        return np.asarray(np.sqrt((moved**2).sum(1) / (moved.shape[1] / 3)) * 1000)


class Detections(NamedTuple):
    """Collect the detected faces of an evaluation set: the rows of their pictures, landmarks (478, 3) and scores (52,)."""

    rows: list[int]
    points: list[NDArray[np.float32]]
    scores: list[NDArray[np.float32]]

    def add(self, row: int, found: LandmarkResult, target: NDArray[Any]) -> bool:
        """Add the face that lies on the true points (68, 2) of a picture; return whether there is one."""
        boxes = np.concatenate([found.points[..., :2].min(1), found.points[..., :2].max(1)], 1).reshape(-1, 4)
        index = index_of_box(boxes, box_of_points(target))
        if index is None:
            return False
        self.rows.append(row)
        self.points.append(found.points[index])
        self.scores.append(found.scores[index])
        return True

    def fit(self, basis: FitBasis, names: list[str]) -> FitResult:
        """Fit the faces. names: of the scores."""
        return fit_landmarks(self.points, self.scores, basis, names)


def fit_landmarks(
    points: list[NDArray[np.float32]], scores: list[NDArray[np.float32]], basis: FitBasis, names: list[str]
) -> FitResult:
    """Fit faces, each alone, from lists of landmarks (478, 3) px and blendshape scores (52,) with their names."""
    expression = torch.from_numpy(scores_to_expression(np.stack(scores), names))
    return fit(torch.from_numpy(np.stack(points)), expression, basis)


def points68(found: FitResult, model: HeadModel) -> NDArray[np.float32]:
    """Return the head's 68 points in the picture, (N, 68, 2) px."""
    return np.asarray(model.landmarks(fit_to_faces(found, model), "ibug68")[..., :2])


def shape_indices(*names: str) -> list[int]:
    """Return the indices of named expression shapes."""
    return [EXPRESSION_NAMES.index(name) for name in names]
