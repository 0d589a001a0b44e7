"""Large poses from stills: a fitted face turned out of the picture's plane with its own texture (Zhu et al., CVPR 2016, section 5).

The whole picture is given a depth: the head model's where the head is, drawn out smoothly around it, so that hair and what is behind turn
along without seam. Turning it by a known rotation gives the new picture and exact labels. Letters: H W of the picture, G grid nodes.
"""

from __future__ import annotations

import numpy as np

from mfn.faces import Faces
from mfn.head_model import HeadModel
from retarget.raster import rasterise

GRID = 120  # nodes along the picture's longer side
TURN_AXIS_M = (0.0, -0.02, -0.075)  # head frame: the top of the neck, about which heads turn
FADE_M = 0.12  # outside the head, depth goes over to that of the turning axis within this distance


def turn_face(
    picture: np.ndarray, face: Faces, model: HeadModel, turn: np.ndarray, behind: np.ndarray
) -> tuple[np.ndarray, Faces]:
    """The picture with one face turned.

    picture: (H, W, 3) uint8 RGB; face: one row, fitted; turn: (3, 3) rotation in the camera's frame, applied after the face's own;
    behind: (H, W, 3) uint8, what shows where nothing of the picture is left.
    -> picture (H, W, 3), face (one row; its box is the old one and must be made anew)
    """
    import cv2

    height, width = picture.shape[:2]
    step = max(height, width) / GRID
    rows, columns = int(np.ceil(height / step)) + 1, int(np.ceil(width / step)) + 1
    pivot = _to_camera(np.asarray(TURN_AXIS_M), face)
    depth = _depth(face, model, step, (rows, columns), float(pivot[2]))
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) * step
    source = np.stack([x, y], -1).reshape(-1, 2)
    nodes = np.concatenate([source, depth.reshape(-1, 1)], 1)
    turned = (nodes - pivot) @ turn.T + pivot
    triangles = _grid_triangles(rows, columns)
    number, share = rasterise(turned.astype(np.float32), triangles, height, width)
    at = (source[triangles[np.maximum(number, 0)]] * share[..., None]).sum(2).astype(np.float32) - 0.5
    shown = cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    covered = cv2.blur(cv2.erode((number >= 0).astype(np.float32), np.ones((3, 3))), (5, 5))[..., None]
    result = (behind + (shown.astype(np.float32) - behind) * covered).astype(np.uint8)
    origin = np.append(face.center[0], 0.0)
    moved = (origin - pivot) @ turn.T + pivot
    return result, face.replace(rotation=(turn @ face.rotation[0])[None], center=moved[None, :2])


def _to_camera(point: np.ndarray, face: Faces) -> np.ndarray:
    """A point (..., 3) of the head, metres -> x y in px of the picture, z on the same scale, smaller is nearer."""
    moved = point @ face.rotation[0].T * face.scale[0]
    return moved + np.append(face.center[0], 0.0)


def _depth(face: Faces, model: HeadModel, step: float, shape: tuple[int, int], back: float) -> np.ndarray:
    """Depth of the grid's nodes (rows, columns), px: the head's surface, around it that of the nearest silhouette fading to `back`."""
    import cv2

    vertices = _to_camera(model.vertices(face.identity, face.expression)[0], face)
    vertices = vertices.astype(np.float32)
    vertices[:, :2] = vertices[:, :2] / step + 0.5  # nodes are the centres of the coarse picture's px
    number, share = rasterise(vertices, model.triangles, *shape)
    inside = number >= 0
    if not inside.any():
        return np.full(shape, back, np.float32)
    z = (vertices[model.triangles[np.maximum(number, 0)], 2] * share).sum(-1)
    z = np.minimum(z, back)  # the far side of neck and skull is not to swing out
    distance, label = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros(label.max() + 1, np.float32)
    of_label[label[inside]] = z[inside]
    fade = np.clip(distance * step / (FADE_M * face.scale[0]), 0, 1)
    fade = fade * fade * (3 - 2 * fade)
    around = of_label[label] * (1 - fade) + back * fade
    smooth = cv2.GaussianBlur(np.where(inside, z, around).astype(np.float32), (0, 0), 2.0)
    return np.where(inside, z, smooth).astype(np.float32)


def _grid_triangles(rows: int, columns: int) -> np.ndarray:
    """Two triangles a grid cell (T, 3) int32."""
    n = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = n[:-1, :-1].ravel(), n[:-1, 1:].ravel(), n[1:, :-1].ravel(), n[1:, 1:].ravel()
    return np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)]).astype(np.int32)
