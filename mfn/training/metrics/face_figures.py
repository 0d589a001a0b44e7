"""Figures of predicted faces beside their true ones: landmarks by yaw, pose, and expression by the size of the face."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from mfn.structures.camera import euler_from_rotation
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.structures.metrics import landmark_nme
from retarget.arkit import EXPRESSION_NAMES

YAW_BINS_DEG = {"yaw_0_30": (0.0, 30.0), "yaw_30_60": (30.0, 60.0), "yaw_60_up": (60.0, np.inf)}
SIZE_BINS_PX = {"0_24px": (0.0, 24.0), "24_48px": (24.0, 48.0), "48_96px": (48.0, 96.0), "96px_up": (96.0, np.inf)}
ANGLES = ("pitch", "yaw", "roll")
MIN_FACES = 8  # fewer give no correlation
MIN_SPREAD = 0.03  # a shape whose standard deviation is smaller has no reliable correlation and gain
MOMENTS = 5  # sums of x, y, x x, y y and x y


class FaceFigures(Metric):
    """Accumulate the figures of pairs of a true and a predicted face.

    Args:
        model: Defines the landmarks.

    `compute` returns, by name:
        nme, nme_yaw_0_30 and so on: mean distance of the 68 landmarks in percent of the root of the area of their true box;
        pitch_error_deg, yaw_error_deg, roll_error_deg: mean absolute error;
        rotation_error_deg: mean angle between the true and the predicted rotation;
        expression_r, expression_gain: correlation, and slope of the regression line of predicted on true weights, means over the shapes
            that vary; the same by the face's size, the root of the area of its box: expression_r_24_48px and so on.
    Figures of which there are no faces are left out.
    """

    full_state_update = False
    nme_sum: Tensor
    nme_count: Tensor
    angle_sum: Tensor
    angle_count: Tensor
    moments: Tensor
    moment_count: Tensor

    def __init__(self, model: HeadModel) -> None:
        super().__init__()
        self.model = model
        sizes, shapes = len(SIZE_BINS_PX), len(EXPRESSION_NAMES)
        states = {
            "nme_sum": (len(YAW_BINS_DEG),),
            "nme_count": (len(YAW_BINS_DEG),),
            "angle_sum": (len(ANGLES) + 1,),
            "angle_count": (),
            "moments": (sizes, MOMENTS, shapes),
            "moment_count": (sizes,),
        }
        for name, shape in states.items():
            self.add_state(name, torch.zeros(shape), dist_reduce_fx="sum")

    def update(self, target: Faces, pred: Faces) -> None:
        """Add N pairs of faces, in the same order."""
        if not len(target):
            return
        self.add_landmarks(target, landmark_nme(target, pred, self.model))
        error = np.degrees(euler_from_rotation(pred.rotation) - euler_from_rotation(target.rotation))
        error = np.abs((error + 180) % 360 - 180)
        cosine = (np.einsum("nij,nij->n", pred.rotation, target.rotation) - 1) / 2
        turned = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        self.angle_sum += self._tensor(np.concatenate([error, turned[:, None]], 1).sum(0))
        self.angle_count += len(target)
        size = np.sqrt(np.maximum((target.box[:, 2:] - target.box[:, :2]).prod(1), 0))
        for number, (low, high) in enumerate(SIZE_BINS_PX.values()):
            rows = (size >= low) & (size < high)
            x, y = target.expression[rows].astype(np.float64), pred.expression[rows].astype(np.float64)
            self.moments[number] += self._tensor(np.stack([part.sum(0) for part in (x, y, x * x, y * y, x * y)]))
            self.moment_count[number] += int(rows.sum())

    def add_landmarks(self, target: Faces, nme: NDArray[np.floating]) -> None:
        """Add the NME (N,) of faces whose other numbers a network does not predict."""
        yaw = np.degrees(np.abs(euler_from_rotation(target.rotation)[:, 1]))
        for number, (low, high) in enumerate(YAW_BINS_DEG.values()):
            rows = (yaw >= low) & (yaw < high)
            self.nme_sum[number] += float(nme[rows].sum())
            self.nme_count[number] += int(rows.sum())

    def compute(self) -> dict[str, Tensor]:
        """Return the figures by name."""
        figures: dict[str, Tensor] = {}
        if self.nme_count.sum() > 0:
            figures["nme"] = self.nme_sum.sum() / self.nme_count.sum()
        for number, name in enumerate(YAW_BINS_DEG):
            if self.nme_count[number] > 0:
                figures[f"nme_{name}"] = self.nme_sum[number] / self.nme_count[number]
        if self.angle_count > 0:
            for number, name in enumerate((*ANGLES, "rotation")):
                figures[f"{name}_error_deg"] = self.angle_sum[number] / self.angle_count
        groups = {"": (self.moments.sum(0), self.moment_count.sum())}
        groups |= {f"_{name}": (self.moments[i], self.moment_count[i]) for i, name in enumerate(SIZE_BINS_PX)}
        for suffix, (moments, count) in groups.items():
            follow = correlation_and_gain(moments, count)
            if follow is not None:
                figures[f"expression_r{suffix}"], figures[f"expression_gain{suffix}"] = follow
        return {name: value.float() for name, value in figures.items()}

    def _tensor(self, values: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.device)


def correlation_and_gain(moments: Tensor, count: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the mean correlation and gain of the shapes that vary; None of too few faces, or where no shape varies.

    Args:
        moments: (MOMENTS, 51) sums over faces.
        count: () number of faces.
    """
    if count < MIN_FACES:
        return None
    x, y, xx, yy, xy = moments / count
    variance, predicted, covariance = xx - x * x, yy - y * y, xy - x * y
    varies = variance > MIN_SPREAD**2
    if not varies.any():
        return None
    gain = covariance[varies] / variance[varies]
    r = covariance[varies] / (variance[varies] * predicted[varies].clamp(min=1e-12)).sqrt()
    return r.mean(), gain.mean()
