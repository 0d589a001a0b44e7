"""Sample what tells people apart at a glance: light and dark of the face, its colors, hair, and clothes below the chin.

The face is sampled on the surface of the fitted head, so that pose and expression matter little. What surrounds it is sampled on a coarse
grid that is upright with the head. Colors are CIELAB.

Letters: N faces, D samples, S side of the face's chart.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.structures.head_model import default_head_model
from retarget.geometry.mesh import vertex_normals
from retarget.io.images import Image
from retarget.render.rasterizer import rasterize

_SIDE = 32  # of the face's chart
_HALF = _SIDE // 2  # both halves of a face are averaged
_COLOR_BLOCK = 4  # hues are averaged over blocks of the chart
_FACE_PX = 64  # a larger face is shrunk to this height
_FACE_M = 0.16
_AROUND_M = 0.45  # half of the square that is looked at
_ACROSS_M = np.linspace(-0.15, 0.15, 10)
_UPWARDS_M = np.linspace(0.17, -0.28, 15)  # from above the hair to the chest
_BLUR_PX = 7
_LEAST_CONTRAST = 2.0
_LEAST_FACING = 1e-3

SAMPLES = _SIDE * _HALF + 2 * (_SIDE // _COLOR_BLOCK) * (_HALF // _COLOR_BLOCK) + 3 + 3 * len(_ACROSS_M) * len(_UPWARDS_M)
"""D, samples of a face."""

Floats = NDArray[np.floating[Any]]


class _Chart(NamedTuple):
    """Points of the face on a grid, in the frame of the head, meters."""

    mean: Floats  # (S, S, 3)
    basis: Floats  # (I + 51, S S 3): how identity and expression move the points
    normal: Floats  # (S, S, 3)
    inside: NDArray[np.bool_]  # (S, S), False beside the face


class _View(NamedTuple):
    """A part of a picture in CIELAB (h, w, 3), and how pixels of the picture become its own."""

    lab: NDArray[np.float32]
    origin: Floats
    factor: Floats

    def at(self, places: Floats, lab: NDArray[np.float32]) -> Floats:
        """Sample at places (..., 2) of the picture. Outside it the color of the border is repeated."""
        import cv2

        own = ((places - self.origin) * self.factor - 0.5).astype(np.float32)
        return np.asarray(cv2.remap(lab, own, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def look_samples(image: Image, faces: Faces) -> NDArray[np.float32]:
    """Sample the looks of the faces of a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        faces: N faces in it.

    Returns:
        (N, D); a row of NaN for a face outside the picture.
    """
    result = np.full((len(faces), SAMPLES), np.nan, np.float32)
    for row in range(len(faces)):
        view = _view(image, faces.center[row].astype(np.float64), float(faces.scale[row]))
        if view is not None:
            result[row] = _samples(view, faces, row)
    return result


def _view(image: Image, center: Floats, scale: float) -> _View | None:
    """Cut out what surrounds a face, shrink it if it is large, and convert it. None: the face lies outside the picture."""
    import cv2

    reach = _AROUND_M * scale
    low = np.floor(center - reach).clip(0).astype(int)
    high = np.minimum(np.ceil(center + reach), image.shape[1::-1]).astype(int)
    if not np.isfinite(reach) or (high - low < 2).any():
        return None
    part = image[low[1] : high[1], low[0] : high[0]]
    shrink = min(1.0, _FACE_PX / max(_FACE_M * scale, 1e-6))
    if shrink < 1:
        size = [max(2, round(side * shrink)) for side in part.shape[1::-1]]
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    lab = cv2.cvtColor(np.ascontiguousarray(part, np.float32) / 255, cv2.COLOR_RGB2Lab)
    return _View(np.asarray(lab, np.float32), low.astype(np.float64), np.array(part.shape[1::-1]) / (high - low))


def _samples(view: _View, faces: Faces, row: int) -> NDArray[np.float32]:
    """Return the samples (D,) of one face."""
    import cv2

    chart, rotation = _chart(), faces.rotation[row].astype(np.float64)
    center, scale = faces.center[row].astype(np.float64), float(faces.scale[row])
    moved = np.concatenate([faces.identity[row], faces.expression[row]]) @ chart.basis
    points = (chart.mean + moved.reshape(chart.mean.shape)) @ rotation.T
    texture = view.at(center + scale * points[..., :2], view.lab)
    facing = np.clip(-(chart.normal @ rotation[2]), 0, 1) * chart.inside + _LEAST_FACING
    face = _folded(texture, facing[..., None])
    light = face[..., 0]
    contrast = (light - light.mean()) / (light.std() + _LEAST_CONTRAST)
    blocks = face[..., 1:].reshape(_SIDE // _COLOR_BLOCK, _COLOR_BLOCK, _HALF // _COLOR_BLOCK, _COLOR_BLOCK, 2).mean((1, 3))
    mean = face.reshape(-1, 3).mean(0)
    around = view.at(_grid(center, scale, rotation), cv2.blur(view.lab, (_BLUR_PX, _BLUR_PX))) - mean
    if rotation[0, 2] < 0:  # all look to one side
        around = around[:, ::-1]
    return np.concatenate([contrast.ravel(), blocks.ravel(), mean, around.ravel()]).astype(np.float32)


def _grid(center: Floats, scale: float, rotation: Floats) -> Floats:
    """Return the places (rows, columns, 2) of the grid around a head, px."""
    up = rotation[:2, 1] / max(float(np.linalg.norm(rotation[:2, 1])), 1e-9)
    right = np.array([-up[1], up[0]])
    return np.asarray(center + scale * (_ACROSS_M[None, :, None] * right + _UPWARDS_M[:, None, None] * up))


def _folded(texture: Floats, weight: Floats) -> Floats:
    """Average both halves of a face (S, S, 3) by how well they are seen (S, S, 1): (S, S / 2, 3)."""
    other, other_weight = texture[:, ::-1], weight[:, ::-1]
    return ((texture * weight + other * other_weight) / (weight + other_weight))[:, :_HALF]


@lru_cache(maxsize=1)
def _chart() -> _Chart:
    """Return the grid on the face of our head model."""
    model = default_head_model()
    triangles = model.triangles[(model.uv[model.triangles] >= 0).all((1, 2))]
    flat = np.zeros((len(model.uv), 3), np.float32)
    flat[:, :2] = model.uv * _SIDE
    index, weight = rasterize(flat, triangles, _SIDE, _SIDE)
    corners, share = triangles[np.maximum(index, 0)], weight[..., None]

    def on_grid(values: Floats) -> Floats:
        return np.asarray((values[..., corners, :] * share).sum(-2))

    basis = [on_grid(values).ravel() for values in (*model.identity_basis, *model.expression_basis)]
    return _Chart(on_grid(model.mean), np.stack(basis), on_grid(vertex_normals(model.mean, model.triangles)), index >= 0)
