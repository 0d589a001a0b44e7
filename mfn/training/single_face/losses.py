"""The losses of the single-face networks.

Each takes what a network returned for B crops and the targets, and returns weighted losses by name.
Targets are PARAMETER_FIELDS (`mfn.structures.cells`) in px of the crops, whose side is CROP_SIZE.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mfn.inference.single_face import nearest_points
from mfn.models.position_map import MAP_SIZE
from mfn.structures.camera import project_xy
from mfn.structures.cells import PARAMETER_SIZE, read_parameters
from mfn.structures.crop_geometry import CROP_CELLS, CROP_SIZE, REACH
from mfn.structures.head_model import HeadModel, default_head_model
from mfn.training.losses.face_loss import FaceLoss
from mfn.training.losses.terms import expression_divergence, gain_loss, vdc_loss, wing_loss, wpdc_loss

LOSS_WEIGHTS = {"rotation": 8.0, "landmarks": 40.0, "pose_landmarks": 20.0, "identity": 0.3, "expression": 12.0, "gaps": 4.0}

# Factors that bring the other losses to about the size of those above.
VDC_WEIGHT, WPDC_WEIGHT, POSITION_MAP_WEIGHT, SQUARED_ERROR_WEIGHT = 1e3, 10.0, 200.0, 1e3
DENSE_WING_SHARE, DENSE_SQUARED_SHARE = 1.5, 0.5  # as published

# PRNet's weights of the cells of a position map.
WEIGHT_OFF_CHART, WEIGHT_FACE, WEIGHT_FEATURES, WEIGHT_LANDMARKS = 1.0, 3.0, 4.0, 16.0
FEATURE_LANDMARKS = slice(27, 68)  # of the 68: nose, eyes and mouth

TddfaKind = Literal["pdc", "wpdc", "fwpdc", "vdc"]


def read_crops(raw: Tensor, size_px: int = CROP_SIZE) -> dict[str, Tensor]:
    """Decode raw parameters (B, PARAMETER_SIZE), or those in raw cells: the result of `read_parameters`, in px of crops of this side."""
    raw = raw[:, -PARAMETER_SIZE:]  # a cell ends with its parameters
    center = raw.new_full((len(raw), 2), size_px / 2)
    pred: dict[str, Tensor] = read_parameters(raw, center, raw.new_full((len(raw),), size_px / CROP_CELLS), torch)
    return pred


def shape_of(module: nn.Module, face: Mapping[str, Tensor]) -> Tensor:
    """Return the points (B, L, 3) of faces, in meters, head frame, from a module with the buffers mean, identity and expression."""
    offset = face["identity"] @ module.identity.flatten(1) + face["expression"] @ module.expression.flatten(1)
    points: Tensor = module.mean + offset.unflatten(1, (-1, 3))
    return points


def place(points: Tensor, face: Mapping[str, Tensor], depth_px: float) -> Tensor:
    """Move points (B, L, 3) of the head into the crop.

    Args:
        points: Meters, head frame.
        face: Rotation, scale and center of each face.
        depth_px: Depth of the head's origin.

    Returns:
        (B, L, 3) px of the crop.
    """
    rotated = face["scale"][:, None, None] * (points @ face["rotation"].transpose(1, 2))
    origin = torch.cat([face["center"], face["center"].new_full((len(rotated), 1), depth_px)], 1)
    return rotated + origin[:, None]


class ParameterLoss(nn.Module):
    """Compute the losses of `FaceLoss`, those of the MFN paper.

    Args:
        weights: Name of a loss -> weight; replaces those of LOSS_WEIGHTS.
        size_px: Side of the crops.
        gain: Weight of `mfn.training.losses.terms.gain_loss` over the batch; 0 for none.
        gain_aim: Gain from which on it is 0.
        gain_within_spread: Whether it is 0 too where the gain is as high as the correlation.
        divergence: Weight of `mfn.training.losses.terms.expression_divergence`; 0 for none.

    Raises:
        ValueError: An unknown name.
    """

    def __init__(
        self,
        weights: dict[str, float] | None = None,
        size_px: int = CROP_SIZE,
        gain: float = 0.0,
        gain_aim: float = 1.0,
        gain_within_spread: bool = False,
        divergence: float = 0.0,
    ) -> None:
        super().__init__()
        self.size_px, self.gain, self.gain_aim, self.divergence = size_px, gain, gain_aim, divergence
        self.gain_within_spread = gain_within_spread
        unknown = set(weights or {}) - set(LOSS_WEIGHTS)
        if unknown:
            raise ValueError(f"weights: expected names among {sorted(LOSS_WEIGHTS)}, got {sorted(unknown)}")
        self.weights = {**LOSS_WEIGHTS, **(weights or {})}
        self.terms = FaceLoss(default_head_model())

    def forward(self, raw: Tensor, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return weighted means by name for raw parameters (B, PARAMETER_SIZE)."""
        pred = read_crops(raw, self.size_px)
        losses = {name: self.weights[name] * value.mean() for name, value in self.terms(pred, dict(target)).items()}
        if self.gain:
            losses["gain"] = self.gain * gain_loss(pred["expression"], target["expression"], self.gain_aim, self.gain_within_spread)
        if self.divergence:
            losses["divergence"] = self.divergence * expression_divergence(pred["expression"], target["expression"]).mean()
        return losses


class TddfaLoss(nn.Module):
    """Compute one of 3DDFA's costs on the 68 landmarks and MediaPipe's 478.

    The parameters are 3DDFA's: the affine camera (scale times the first two rows of the rotation, and the center in
    sides of the crop), identity and expression.

    Source: Zhu et al., CVPR 2016; Guo et al., ECCV 2020.

    Args:
        kind: "pdc": squared distance of parameters, unweighted; "wpdc": weighted by how far each moves the landmarks of
            the target face; "fwpdc": the same with those of the mean face, which are computed once; "vdc": squared
            distance of the landmarks.

    Raises:
        ValueError: An unknown kind.
    """

    basis: Tensor
    basis_length: Tensor

    def __init__(self, kind: TddfaKind) -> None:
        super().__init__()
        if kind not in get_args(TddfaKind):
            raise ValueError(f'kind: expected "pdc", "wpdc", "fwpdc" or "vdc", got {kind!r}')
        self.kind = kind
        self.face = FaceLoss(default_head_model())
        self.register_buffer("basis", torch.cat([self.face.identity, self.face.expression]), persistent=False)  # (K, L, 3)
        self.register_buffer("basis_length", self.basis.flatten(1).norm(dim=1), persistent=False)

    def forward(self, raw: Tensor, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the mean by name for raw parameters (B, PARAMETER_SIZE)."""
        pred = read_crops(raw)
        if self.kind == "vdc":
            value = VDC_WEIGHT * vdc_loss(self.points(pred), self.points(target))
        elif self.kind == "pdc":
            value = (tddfa_parameters(pred) - tddfa_parameters(target)).square().sum(1)
        else:
            value = WPDC_WEIGHT * wpdc_loss(tddfa_parameters(pred), tddfa_parameters(target), self.effects(target))
        return {self.kind: value.mean()}

    def points(self, face: Mapping[str, Tensor]) -> Tensor:
        """Return the landmarks (B, L, 2) of faces, in sides of the crop."""
        shape = self.face.shape(face["identity"], face["expression"])
        points: Tensor = project_xy(shape, face["rotation"], face["scale"], face["center"])
        return points / CROP_SIZE

    def effects(self, target: Mapping[str, Tensor]) -> Tensor:
        """Compute how far one unit of each parameter moves the landmarks.

        Args:
            target: The target faces.

        Returns:
            (B, 8 + I + 51) roots of the sum of squared distances, in sides of the crop.

        An entry of the camera's rows moves every landmark by its coordinate. A shape coefficient moves it by the scale
        times the projection of its basis vector. The fast version uses the coordinates of the mean face and the full
        length of the basis vector.
        """
        scale = target["scale"][:, None] / CROP_SIZE
        if self.kind == "fwpdc":
            coordinates = self.face.mean.norm(dim=0).expand(len(scale), 3)
            shapes = scale * self.basis_length
        else:
            coordinates = self.face.shape(target["identity"], target["expression"]).norm(dim=1)
            gram = torch.einsum("klc,kld->kcd", self.basis, self.basis)
            rows = target["rotation"][:, :2]
            shapes = scale * torch.einsum("bic,kcd,bid->bk", rows, gram, rows).clamp(min=0).sqrt()
        shift = torch.full((len(scale), 2), float(len(self.face.mean)) ** 0.5, device=scale.device)
        return torch.cat([coordinates, coordinates, shift, shapes], 1)


def tddfa_parameters(face: Mapping[str, Tensor]) -> Tensor:
    """Return 3DDFA's parameters (B, 8 + I + 51) of faces in crops: affine rows (6), center (2), identity, expression."""
    rows = (face["scale"][:, None, None] * face["rotation"][:, :2]).flatten(1) / CROP_SIZE
    return torch.cat([rows, face["center"] / CROP_SIZE, face["identity"], face["expression"]], 1)


class PositionMapLoss(nn.Module):
    """Compute PRNet's weighted squared error of the position map.

    Weights: 16 at the 68 landmarks, 4 around eyes, nose and mouth, 3 on the rest of the face. A cell outside the chart
    has the weight 1 and the target of the nearest cell on it, because points on the border of the chart are
    interpolated between both.

    Source: Feng et al., ECCV 2018, eq. 3.
    """

    mean: Tensor
    identity: Tensor
    expression: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        model = default_head_model()
        shapes = np.concatenate([model.mean[None], model.identity_basis, model.expression_basis])
        maps, masks = zip(*(model.position_map(shape, MAP_SIZE) for shape in shapes), strict=True)
        basis = np.stack(maps).reshape(len(shapes), -1, 3)[:, nearest_cells(masks[0])]
        expressions = len(model.expression_basis)
        for name, value in (("mean", basis[0]), ("identity", basis[1:-expressions]), ("expression", basis[-expressions:])):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value)), persistent=False)
        weight = np.where(masks[0], map_weight(model), WEIGHT_OFF_CHART).reshape(-1)
        self.register_buffer("weight", torch.from_numpy(weight.astype(np.float32)), persistent=False)

    def forward(self, maps: Tensor, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the mean by name for position maps (B, 3, MAP_SIZE, MAP_SIZE)."""
        error = maps.flatten(2) - self.target_maps(target)
        return {"position_map": POSITION_MAP_WEIGHT * (error.square().sum(1) * self.weight).mean() / self.weight.mean()}

    def target_maps(self, target: Mapping[str, Tensor]) -> Tensor:
        """Return the target maps (B, 3, MAP_SIZE**2), in the network's unit."""
        span = REACH * CROP_SIZE
        return (place(shape_of(self, target), target, span / 2) / span).transpose(1, 2)


def nearest_cells(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find the nearest cell of a mask for every cell of a map.

    Args:
        mask: (S, S) True on the chart.

    Returns:
        (S * S,) index of the nearest cell on the chart; of a cell on the chart, its own.
    """
    import cv2

    _, label = cv2.distanceTransformWithLabels((~mask).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    inside = np.flatnonzero(mask.reshape(-1))
    cell = np.zeros(label.max() + 1, np.int64)
    cell[label.reshape(-1)[inside]] = inside
    return np.asarray(cell[label.reshape(-1)])


def map_weight(model: HeadModel) -> NDArray[np.float32]:
    """Return PRNet's weights (MAP_SIZE, MAP_SIZE) on the chart of the face."""
    weight = np.full((MAP_SIZE, MAP_SIZE), WEIGHT_FACE, np.float32)
    vertex, share = model.landmark_sets["ibug68"]
    uv = (model.uv[vertex] * share[..., None]).sum(1)
    column, row = np.clip((uv * MAP_SIZE).astype(int), 0, MAP_SIZE - 1).T
    offsets = range(-MAP_SIZE // 20, MAP_SIZE // 20 + 1)
    for dy in offsets:
        for dx in offsets:
            rows, columns = row[FEATURE_LANDMARKS] + dy, column[FEATURE_LANDMARKS] + dx
            weight[rows.clip(0, MAP_SIZE - 1), columns.clip(0, MAP_SIZE - 1)] = WEIGHT_FEATURES
    weight[row, column] = WEIGHT_LANDMARKS
    return weight


class DenseLandmarkLoss(nn.Module):
    """Compute 1.5 times the Wing loss of all 520 landmarks and 0.5 times the squared error of the 68 that lie nearest to iBUG's.

    Source: Basak et al., 2023, arXiv 2308.15170.
    """

    mean: Tensor
    identity: Tensor
    expression: Tensor
    ibug: Tensor

    def __init__(self) -> None:
        super().__init__()
        model = default_head_model()
        for name, value in model.landmark_basis("dense520")._asdict().items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value)), persistent=False)
        self.register_buffer("ibug", torch.from_numpy(nearest_points(model)), persistent=False)

    def forward(self, points: Tensor, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return weighted means by name for landmarks (B, 520, 3) in sides of the crop."""
        target_points = place(shape_of(self, target), target, CROP_SIZE / 2) / CROP_SIZE
        squared = (points[:, self.ibug] - target_points[:, self.ibug]).square().mean((1, 2))
        wing = wing_loss(points * CROP_SIZE, target_points * CROP_SIZE)
        return {"wing": DENSE_WING_SHARE * wing.mean(), "mse68": DENSE_SQUARED_SHARE * SQUARED_ERROR_WEIGHT * squared.mean()}
