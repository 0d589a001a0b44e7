"""Large poses from stills: a fitted face turned out of the picture's plane with its own texture (Zhu et al., CVPR 2016, section 5).

The whole picture is given a depth: the head model's where the head is, drawn out smoothly around it, so that hair and what is behind turn
along without seam. Turning it by a known rotation gives the new picture and exact labels. What the photo showed too aslant to be turned
to the camera (an ear, the side of a cheek) is painted in the skin's own colours; what is left empty is filled with what is around it.
Letters: H W of the picture, G grid nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mfn.structures.camera import project
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.fast_rasterizer import between, corners, draw_front
from retarget.render.rasterizer import vertex_normals

if TYPE_CHECKING:
    from mfn.synthesis.expression_edit import ExpressionEditor

GRID = 120  # nodes along the picture's longer side
TURN_AXIS_M = (0.0, -0.02, -0.075)  # head frame: the top of the neck, about which heads turn
FADE_M = 0.12  # outside the head, depth goes over to that of the turning axis within this distance


def rotate_face(
    picture: np.ndarray, face: Faces, model: HeadModel, turn: np.ndarray, behind: np.ndarray | None = None
) -> tuple[np.ndarray, Faces]:
    """The picture with one face turned.

    picture: (H, W, 3) uint8 RGB; face: one row, fitted; turn: (3, 3) rotation in the camera's frame, applied after the face's own;
    behind: (H, W, 3) uint8, what shows where nothing of the picture is left; None carries on what is around
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
    pixel, triangle, share, nearest = draw_front(corners(turned, triangles), height, width, backs=True)
    at = np.full((height * width, 2), -0.5, np.float32)
    at[pixel] += between(source, triangles[triangle], share)
    shown = cv2.remap(picture, at.reshape(height, width, 2), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    origin = np.append(face.center[0], 0.0)
    moved = face.replace(rotation=(turn @ face.rotation[0])[None], center=((origin - pivot) @ turn.T + pivot)[None, :2])
    inside = np.isfinite(nearest) & ~_black_border(shown)
    covered = cv2.erode(inside.astype(np.float32), np.ones((9, 9)))  # edges are dark with what lies beyond them
    head = _outline(moved, model, (height, width))
    far = cv2.dilate(head, np.ones((13, 13))) == 0  # what is around a head is carried on, not the head
    back = inpaint(shown, (covered > 0) & far) if behind is None else behind
    covered = cv2.blur(np.maximum(cv2.blur(covered, (5, 5)), cv2.blur(head * inside, (3, 3))), (2, 2))[..., None]
    return (back + (shown.astype(np.float32) - back) * covered).astype(np.uint8), moved


def _outline(face: Faces, model: HeadModel, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) float32, 1 where the face is, from ear to ear and to below the chin."""
    points = project(model.vertices(face.identity, face.expression)[0], face.rotation[0], face.scale[0], face.center[0])
    chart = (model.uv[model.triangles] >= 0).all((1, 2))
    return np.isfinite(draw_front(corners(points, model.triangles[chart]), *shape, backs=True).depth).astype(np.float32)


def rotate_and_repaint(
    picture: np.ndarray, face: Faces, editor: ExpressionEditor, turn: np.ndarray, behind: np.ndarray | None = None
) -> tuple[np.ndarray, Faces]:
    """`rotate_face`, and then what had been seen too aslant is painted. Arguments as there; editor: its model and painted head."""
    import cv2

    result, moved = rotate_face(picture, face, editor.model, turn, behind)
    head = editor.model.vertices(face.identity, face.expression)[0]
    points = project(head, moved.rotation[0], moved.scale[0], moved.center[0])
    height, width = result.shape[:2]
    pixel, triangle, share, _ = draw_front(corners(points, editor.triangles), height, width)
    if not len(pixel):
        return result, moved
    normal = vertex_normals(head, editor.model.triangles)[editor.triangles].mean(1)
    was, now = (-(normal @ r[2]) for r in (face.rotation[0], moved.rotation[0]))
    stretch = np.maximum(now, 0.05) / np.maximum(was, 0.02)
    made = np.clip((stretch[triangle] - 2.2) / 2.0, 0, 1).astype(np.float32)
    if not made.any():
        return result, moved
    linear = (result.astype(np.float32) / 255) ** 2.2
    painted = editor.painted(linear, head, moved, (pixel, triangle, share, made))
    smooth = cv2.blur(linear, (5, 5))
    alike = np.abs(np.log((smooth.mean(2) + 0.01) / (painted.mean(2) + 0.01)))  # hair over an ear stays hair
    mask = np.zeros((height, width), np.float32)
    mask.ravel()[pixel] = made
    mask *= np.clip(1.6 - 1.2 * cv2.blur(alike, (9, 9)), 0, 1)
    linear += (painted - linear) * cv2.GaussianBlur(mask, (0, 0), 1.2)[..., None]
    return np.clip(255 * linear ** (1 / 2.2) + 0.5, 0, 255).astype(np.uint8), moved


def inpaint(picture: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The known px (H, W) bool of a picture (H, W, 3) uint8 carried on smoothly into the others, with the grain of the known ones."""
    import cv2

    share = known.astype(np.float32)
    levels = [(picture.astype(np.float32) * share[..., None], share)]
    while min(levels[-1][1].shape) > 2:
        colour, weight = (cv2.pyrDown(v) for v in levels[-1])
        gain = np.minimum(1 / np.maximum(weight, 1e-6), 1 / 0.2)  # what is a little known becomes known
        levels.append((colour * gain[..., None], weight * gain))
    colour, weight = levels[-1]
    filled = colour / np.maximum(weight, 1e-3)[..., None]
    for colour, weight in reversed(levels[:-1]):
        filled = cv2.pyrUp(filled, dstsize=weight.shape[::-1])
        sure = np.clip(weight, 0, 1)[..., None]
        filled = colour / np.maximum(weight, 1e-3)[..., None] * sure + filled * (1 - sure)
    fine = picture.astype(np.float32) - cv2.GaussianBlur(picture, (0, 0), 2.0)
    grain = float(np.median(np.abs(fine[known]))) if known.any() else 0.0
    noise = np.random.default_rng(int(share.sum())).normal(0, 1.5 * grain + 0.5, picture.shape[:2])[..., None]
    return np.clip(np.where(known[..., None], filled, filled + noise), 0, 255).astype(np.uint8)


def _black_border(picture: np.ndarray) -> np.ndarray:
    """(H, W) px of black areas that reach the picture's edge, as pictures have that were turned before."""
    import cv2

    black = (picture.max(2) < 12).astype(np.uint8)
    if black.mean() < 0.005:
        return np.zeros(black.shape, bool)
    _, label = cv2.connectedComponents(black)
    edge = np.unique(np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]]))
    return np.asarray(np.isin(label, edge[edge > 0]) & (black > 0))


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
    z = draw_front(corners(vertices, model.triangles), *shape, backs=True).depth
    inside = np.isfinite(z)
    if not inside.any():
        return np.full(shape, back, np.float32)
    z = np.minimum(z, np.float32(back))  # the far side of neck and skull is not to swing out
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
