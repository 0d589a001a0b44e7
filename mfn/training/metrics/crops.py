"""The figures of a network of one face on batches of crops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from mfn.inference.single_face import nearest_points, sample_position_map
from mfn.structures.cells import PARAMETER_FIELDS, PARAMETER_SIZE, read_parameters
from mfn.structures.crop_geometry import CROP_CELLS, CROP_SIZE, REACH
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel, default_head_model
from mfn.training.data.batch import CropTargets
from mfn.training.metrics.face_figures import FaceFigures

PARAMETERS_NDIM = 2  # axes of parameters and cells; dense landmarks have three, position maps four


class CropFigures(nn.Module):
    """Accumulate pose, landmarks and expression of the faces in crops. Networks of landmarks only have figures of landmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.faces = FaceFigures(default_head_model())

    def update(self, raw: Tensor, target: CropTargets, size_px: int) -> None:
        """Add a batch.

        Args:
            raw: The network's output: parameters or cells (B, K), dense landmarks (B, 520, 3) or position maps (B, 3, M, M).
            target: PARAMETER_FIELDS in px of the crops.
            size_px: Side of the crops.
        """
        model, values = self.faces.model, raw.float().cpu().numpy()
        true = target_faces(target, model)
        if values.ndim == PARAMETERS_NDIM:
            self.faces.update(true, _predicted_faces(values, model, size_px))
            return
        points = model.landmarks(true, "ibug68")[..., :2]
        distance = np.linalg.norm(crop_landmarks(values, model, size_px) - points, axis=2)
        self.faces.add_landmarks(true, 100 * np.nanmean(distance, 1) / np.sqrt(np.ptp(points, axis=1).prod(1)))

    def compute(self) -> dict[str, Tensor]:
        """Return the figures by name, and begin again."""
        figures: dict[str, Tensor] = self.faces.compute()
        self.faces.reset()
        return figures


def target_faces(target: CropTargets, model: HeadModel) -> Faces:
    """Return the target faces of B crops, in px of the crops."""
    return _faces({name: target[name].float().cpu().numpy() for name in PARAMETER_FIELDS}, model)


def crop_landmarks(values: NDArray[np.float32], model: HeadModel, size_px: int = CROP_SIZE) -> NDArray[np.float32]:
    """Return the 68 landmarks of what a network predicts for crops.

    Args:
        values: Parameters or cells (B, K), dense landmarks (B, 520, 3) or position maps (B, 3, M, M).
        model: Defines the landmarks.
        size_px: Side of the crops. Dense landmarks and position maps are of crops of CROP_SIZE px.

    Returns:
        (B, 68, 2) x y, px of the crop. Landmarks that are not on the chart of a position map are NaN.
    """
    if values.ndim == PARAMETERS_NDIM:
        return model.landmarks(_predicted_faces(values, model, size_px), "ibug68")[..., :2]
    if values.ndim == 3:
        return values[:, nearest_points(model), :2] * CROP_SIZE
    found = sample_position_map(values, model, "ibug68")[..., :2] * REACH
    return np.asarray(found * CROP_SIZE, np.float32)


def _predicted_faces(values: NDArray[np.float32], model: HeadModel, size_px: int) -> Faces:
    """Make faces of parameters or cells (B, K) that a network predicts for crops of this side."""
    values = values[:, -PARAMETER_SIZE:]  # a cell ends with its parameters
    center = np.full((len(values), 2), size_px / 2, np.float32)
    return _faces(read_parameters(values, center, np.full(len(values), size_px / CROP_CELLS, np.float32)), model)


def _faces(fields: dict[str, NDArray[np.float32]], model: HeadModel) -> Faces:
    """Make faces of parameters by name, with boxes of the heads."""
    count = len(fields["scale"])
    faces = Faces(
        image=np.arange(count, dtype=np.int32),
        box=np.zeros((count, 4), np.float32),
        score=np.ones(count, np.float32),
        track=np.full(count, -1, np.int32),
        rotation=fields["rotation"],
        scale=fields["scale"],
        center=fields["center"],
        identity=fields["identity"],
        expression=fields["expression"],
    )
    return faces.replace(box=model.boxes(faces))
