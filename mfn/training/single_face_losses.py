"""What the single-face networks are trained by. A cost takes what a network gave for B crops and the truth, and gives weighted terms.

The truth is a dict of `mfn.training.face_loss.PARAMETER_FIELDS`, in px of the crops, whose side is CROP_SIZE.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from mfn.inference.single_face import nearest_points
from mfn.models.position_map import MAP_SIZE
from mfn.structures.camera import project_xy
from mfn.structures.cells import read_parameters
from mfn.structures.crop_geometry import CROP_CELLS, CROP_SIZE, REACH
from mfn.structures.head_model import HeadModel
from mfn.training.face_loss import FaceLoss
from mfn.training.losses import vdc_loss, wing_loss, wpdc_loss

Truth = Mapping[str, Tensor]
WEIGHTS = {"rotation": 8.0, "landmarks": 40.0, "pose_landmarks": 20.0, "identity": 0.3, "expression": 12.0, "gaps": 4.0}


def read_crops(raw: Tensor) -> dict[str, Tensor]:
    """What (B, PARAMETER_SIZE) says of B crops, in px of the crop."""
    center = raw.new_full((len(raw), 2), CROP_SIZE / 2)
    return read_parameters(raw, center, raw.new_full((len(raw),), CROP_SIZE / CROP_CELLS), torch)


class ParameterCost(nn.Module):
    """The terms of `FaceLoss`, those of the MFN paper. weights: over those of WEIGHTS."""

    def __init__(self, weights: dict[str, float] | None = None) -> None:
        super().__init__()
        unknown = set(weights or {}) - set(WEIGHTS)
        if unknown:
            raise ValueError(f"weights: expected some of {sorted(WEIGHTS)}, got {sorted(unknown)}")
        self.weights = {**WEIGHTS, **(weights or {})}
        self.terms = FaceLoss(HeadModel.load())

    def forward(self, raw: Tensor, true: Truth) -> dict[str, Tensor]:
        """(B, PARAMETER_SIZE) -> name -> weighted mean"""
        return {name: self.weights[name] * value.mean() for name, value in self.terms(read_crops(raw), dict(true)).items()}


class TddfaCost(nn.Module):
    """One of 3DDFA's costs (Zhu et al., CVPR 2016; Guo et al., ECCV 2020), on the 68 points and MediaPipe's 478.

    kind: "pdc" squared distance of parameters, all alike; "wpdc" weighted by their effect on the true face; "fwpdc" the same with the
    mean face's effects, which are computed once; "vdc" squared distance of the points.
    The parameters are 3DDFA's: the affine camera (scale times two rows of the rotation, and center, in crop sides), identity, expression.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        if kind not in ("pdc", "wpdc", "fwpdc", "vdc"):
            raise ValueError(f'expected a kind "pdc", "wpdc", "fwpdc" or "vdc", got {kind!r}')
        self.kind = kind
        self.face = FaceLoss(HeadModel.load())
        self.register_buffer("basis", torch.cat([self.face.identity, self.face.expression]), persistent=False)  # (K, L, 3)
        self.register_buffer("basis_length", self.basis.flatten(1).norm(dim=1), persistent=False)

    def forward(self, raw: Tensor, true: Truth) -> dict[str, Tensor]:
        """(B, PARAMETER_SIZE) -> name -> mean"""
        told = read_crops(raw)
        if self.kind == "vdc":
            value = 1e3 * vdc_loss(self.points(told), self.points(true))
        elif self.kind == "pdc":
            value = (parameters(told) - parameters(true)).square().sum(1)
        else:
            value = 10 * wpdc_loss(parameters(told), parameters(true), self.effects(true))
        return {self.kind: value.mean()}

    def points(self, face: Truth) -> Tensor:
        """Landmarks (B, L, 2) in crop sides."""
        shape = self.face.shape(face["identity"], face["expression"])
        return project_xy(shape, face["rotation"], face["scale"], face["center"]) / CROP_SIZE

    def effects(self, true: Truth) -> Tensor:
        """How far one unit of each parameter moves the points, crop sides: (B, 8 + I + 51), as the root of the sum of squares.

        An entry of the camera's rows moves every point by its coordinate; a shape's weight moves it by scale times what two rows of the
        rotation leave of the basis vector. The fast version takes the mean face's coordinates, and the basis vector's whole length.
        """
        scale = true["scale"][:, None] / CROP_SIZE
        if self.kind == "fwpdc":
            coordinates = self.face.mean.norm(dim=0).expand(len(scale), 3)
            shapes = scale * self.basis_length
        else:
            coordinates = self.face.shape(true["identity"], true["expression"]).norm(dim=1)
            gram = torch.einsum("klc,kld->kcd", self.basis, self.basis)
            rows = true["rotation"][:, :2]
            shapes = scale * torch.einsum("bic,kcd,bid->bk", rows, gram, rows).clamp(min=0).sqrt()
        shift = torch.full((len(scale), 2), float(len(self.face.mean)) ** 0.5, device=scale.device)
        return torch.cat([coordinates, coordinates, shift, shapes], 1)


def parameters(face: Truth) -> Tensor:
    """3DDFA's parameters (B, 8 + I + 51) of faces in crops: affine rows (6), center (2), identity, expression."""
    rows = (face["scale"][:, None, None] * face["rotation"][:, :2]).flatten(1) / CROP_SIZE
    return torch.cat([rows, face["center"] / CROP_SIZE, face["identity"], face["expression"]], 1)


class PositionMapCost(nn.Module):
    """PRNet's weighted squared error of the position map (Feng et al., ECCV 2018, eq. 3): 68 points 16, eyes, nose, mouth 4, face 3.

    Cells off the chart are asked, at weight 1, for what the nearest cell on it says: points at the chart's rim are read between both.
    """

    def __init__(self) -> None:
        super().__init__()
        model = HeadModel.load()
        every = np.concatenate([model.mean[None], model.identity_basis, model.expression_basis])
        maps, masks = zip(*(model.position_map(v, MAP_SIZE) for v in every), strict=True)
        basis = np.stack(maps).reshape(len(every), -1, 3)[:, nearest_cells(masks[0])]
        for name, value in (("mean", basis[0]), ("identity", basis[1:-51]), ("expression", basis[-51:])):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value)), persistent=False)
        weight = np.where(masks[0], map_weight(model), 1).reshape(-1)
        self.register_buffer("weight", torch.from_numpy(weight.astype(np.float32)), persistent=False)

    def forward(self, maps: Tensor, true: Truth) -> dict[str, Tensor]:
        """(B, 3, MAP_SIZE, MAP_SIZE) -> name -> mean"""
        error = maps.flatten(2) - self.target(true)
        return {"position_map": 200 * (error.square().sum(1) * self.weight).mean() / self.weight.mean()}

    def target(self, true: Truth) -> Tensor:
        """The true maps' cells (B, 3, MAP_SIZE**2), in the network's unit."""
        offset = true["identity"] @ self.identity.flatten(1) + true["expression"] @ self.expression.flatten(1)
        shape = self.mean + offset.unflatten(1, (-1, 3))
        placed = true["scale"][:, None, None] * (shape @ true["rotation"].transpose(1, 2))
        middle = torch.cat([true["center"], true["center"].new_full((len(placed), 1), REACH * CROP_SIZE / 2)], 1)
        return ((placed + middle[:, None]) / (REACH * CROP_SIZE)).transpose(1, 2)


def nearest_cells(mask: np.ndarray) -> np.ndarray:
    """For every cell (C,) of a map, flat, the nearest one where mask (S, S) is True: itself, if it is."""
    import cv2

    _, label = cv2.distanceTransformWithLabels((~mask).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    inside = np.flatnonzero(mask.reshape(-1))
    cell = np.zeros(label.max() + 1, np.int64)
    cell[label.reshape(-1)[inside]] = inside
    return cell[label.reshape(-1)]


def map_weight(model: HeadModel) -> np.ndarray:
    """(MAP_SIZE, MAP_SIZE): 16 at the cells of the 68 points, 4 around eyes, nose and mouth, 3 elsewhere on the face's chart."""
    weight = np.full((MAP_SIZE, MAP_SIZE), 3.0, np.float32)

    def cells(name: str, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        vertex, share = model.landmark_sets[name]
        uv = (model.uv[vertex[rows]] * share[rows, :, None]).sum(1)
        column, row = np.clip((uv * MAP_SIZE).astype(int), 0, MAP_SIZE - 1).T
        return row, column

    row, column = cells("ibug68", slice(27, 68))
    around = range(-MAP_SIZE // 20, MAP_SIZE // 20 + 1)
    for y in around:
        for x in around:
            weight[(row + y).clip(0, MAP_SIZE - 1), (column + x).clip(0, MAP_SIZE - 1)] = 4.0
    weight[cells("ibug68", slice(0, 68))] = 16.0
    return weight


class DensePointsCost(nn.Module):
    """1.5 Wing on all 520 points and 0.5 squared error on 68 of them (Basak et al., 2023). The 68 are those nearest to iBUG's."""

    def __init__(self) -> None:
        super().__init__()
        model = HeadModel.load()
        basis = model.landmark_basis("dense520")
        for name, value in zip(("mean", "identity", "expression"), basis, strict=True):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value)), persistent=False)
        self.register_buffer("ibug", torch.from_numpy(nearest_points(model)), persistent=False)

    def forward(self, points: Tensor, true: Truth) -> dict[str, Tensor]:
        """(B, 520, 3) -> name -> weighted mean"""
        offset = true["identity"] @ self.identity.flatten(1) + true["expression"] @ self.expression.flatten(1)
        placed = (self.mean + offset.unflatten(1, (-1, 3))) @ true["rotation"].transpose(1, 2)
        middle = torch.cat([true["center"], true["center"].new_full((len(placed), 1), CROP_SIZE / 2)], 1)
        target = (true["scale"][:, None, None] * placed + middle[:, None]) / CROP_SIZE
        squared = (points[:, self.ibug] - target[:, self.ibug]).square().mean((1, 2))
        wing = wing_loss(points * CROP_SIZE, target * CROP_SIZE)
        return {"wing": 1.5 * wing.mean(), "mse68": 0.5 * 1e3 * squared.mean()}
