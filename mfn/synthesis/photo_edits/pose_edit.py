"""Large head poses from photos: a fitted face is rotated out of the image plane with its own texture.

The whole photo gets a depth: that of the head model where the head is, continued smoothly around it, so that hair and background rotate
along without a seam. Rotating it by a known rotation gives the new image and exact labels (Zhu et al., "Face Alignment Across Large Poses:
A 3D Solution", CVPR 2016, section 5). What the photo showed at a grazing angle (an ear, the side of a cheek) is painted in the colors of
the skin; what becomes empty is filled from its surroundings. Letters: H and W height and width of the image, G grid nodes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import project
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.face_painter import FacePainter, Surface
from retarget.geometry.mesh import vertex_normals
from retarget.io.images import Image
from retarget.render.fast_rasterizer import gather_corners, interpolate_corners, rasterize_fast

Floats = NDArray[np.floating]

GRID_NODES = 120  # along the longer side of the photo
ROTATION_CENTER_M = (0.0, -0.02, -0.075)  # head frame: the top of the neck
FADE_M = 0.12  # around the head, the depth goes over to that of the rotation center within this distance
MAX_STRETCH = 2.2  # skin that is stretched more than this is painted
_BLACK_LEVEL = 12  # pixels whose brightest channel is darker count as black


class RotatedPhoto(NamedTuple):
    """A photo whose face was rotated.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        face: one row with the new pose; its box is still the old one.
    """

    picture: Image
    face: Faces


def rotate_face(
    picture: Image, face: Faces, model: HeadModel, rotation: Floats, background: Image | None = None
) -> RotatedPhoto:
    """Rotate one face of a photo.

    Args:
        picture: (H, W, 3) uint8 RGB.
        face: one row, fitted to the photo.
        model: the head model.
        rotation: (3, 3) in the camera frame, applied after the face's own rotation.
        background: (H, W, 3) uint8, shown where nothing of the photo is left; None continues what is around.
    """
    import cv2

    height, width = picture.shape[:2]
    center = _to_px(np.asarray(ROTATION_CENTER_M), face)
    warped, depth = _warp(picture, face, model, rotation, center)
    origin = np.append(face.center[0], 0.0)
    new_center = ((origin - center) @ rotation.T + center)[None, :2].astype(np.float32)
    new_rotation = (rotation @ face.rotation[0])[None].astype(np.float32)
    rotated = face.replace(rotation=new_rotation, center=new_center)
    shown = np.isfinite(depth) & ~_black_border(warped)
    covered = np.asarray(cv2.erode(shown.astype(np.float32), np.ones((9, 9))), np.float32)  # edges mix with what is beyond
    head = _silhouette(rotated, model, (height, width))
    if background is None:
        away_from_head = cv2.dilate(head, np.ones((13, 13))) == 0  # continue the surroundings of the head, not the head
        background = inpaint(warped, (covered > 0) & away_from_head)
    soft = np.maximum(cv2.blur(covered, (5, 5)), cv2.blur(head * shown, (3, 3)))
    alpha = cv2.blur(soft, (2, 2))[..., None]
    return RotatedPhoto((background + (warped.astype(np.float32) - background) * alpha).astype(np.uint8), rotated)


def rotate_and_repaint(
    picture: Image, face: Faces, painter: FacePainter, rotation: Floats, background: Image | None = None
) -> RotatedPhoto:
    """Rotate one face of a photo and paint the skin that was stretched too much.

    Args:
        painter: its model and its painted head are used.
        picture, face, rotation, background: see `rotate_face`.
    """
    import cv2

    result, rotated = rotate_face(picture, face, painter.model, rotation, background)
    head = painter.model.vertices(face.identity, face.expression)[0]
    points = project(head, rotated.rotation[0], rotated.scale[0], rotated.center[0])
    drawn = rasterize_fast(gather_corners(points, painter.triangles), *result.shape[:2])
    if not len(drawn.pixel):
        return RotatedPhoto(result, rotated)
    stretch = _stretch(head, face, rotated, painter)[drawn.triangle]
    painted_share = np.clip((stretch - MAX_STRETCH) / 2.0, 0, 1).astype(np.float32)
    if not painted_share.any():
        return RotatedPhoto(result, rotated)
    light = (result.astype(np.float32) / 255) ** 2.2
    painted = painter.paint(light, head, rotated, Surface(drawn.pixel, drawn.triangle, drawn.weight, painted_share))
    smooth = cv2.blur(light, (5, 5))
    difference = np.abs(np.log((smooth.mean(2) + 0.01) / (painted.mean(2) + 0.01)))
    mask = np.zeros(result.shape[:2], np.float32)
    mask.ravel()[drawn.pixel] = painted_share
    mask *= np.clip(1.6 - 1.2 * cv2.blur(difference, (9, 9)), 0, 1)  # very different colors: hair over an ear stays hair
    light += (painted - light) * cv2.GaussianBlur(mask, (0, 0), 1.2)[..., None]
    return RotatedPhoto(np.clip(255 * light ** (1 / 2.2) + 0.5, 0, 255).astype(np.uint8), rotated)


def inpaint(picture: Image, known: NDArray[np.bool_]) -> Image:
    """Fill the unknown pixels of an image smoothly, with the noise of the known ones.

    Args:
        picture: (H, W, 3) uint8.
        known: (H, W) True where the image is known.

    Returns:
        (H, W, 3) uint8; known pixels may change a little near unknown ones.
    """
    import cv2

    share = known.astype(np.float32)
    levels = [(picture.astype(np.float32) * share[..., None], share)]
    while min(levels[-1][1].shape) > 2:
        color, weight = (cv2.pyrDown(v) for v in levels[-1])
        gain = np.minimum(1 / np.maximum(weight, 1e-6), 1 / 0.2)  # pixels that are partly known become known
        levels.append((color * gain[..., None], weight * gain))
    color, weight = levels[-1]
    filled = color / np.maximum(weight, 1e-3)[..., None]
    for color, weight in reversed(levels[:-1]):
        filled = cv2.pyrUp(filled, dstsize=weight.shape[::-1])
        certain = np.clip(weight, 0, 1)[..., None]
        filled = color / np.maximum(weight, 1e-3)[..., None] * certain + filled * (1 - certain)
    detail = picture.astype(np.float32) - cv2.GaussianBlur(picture, (0, 0), 2.0)
    noise_level = float(np.median(np.abs(detail[known]))) if known.any() else 0.0
    rng = np.random.default_rng(int(share.sum()))
    noise = rng.normal(0, 1.5 * noise_level + 0.5, picture.shape[:2])[..., None]
    return np.clip(np.where(known[..., None], filled, filled + noise), 0, 255).astype(np.uint8)


def _warp(
    picture: Image, face: Faces, model: HeadModel, rotation: Floats, center: Floats
) -> tuple[Image, Floats]:
    """Rotate a grid of depths over the photo about `center` (3,) px, and draw the photo on it.

    Returns:
        The image (H, W, 3) uint8, and its depth (H, W), infinite where nothing was drawn.
    """
    import cv2

    height, width = picture.shape[:2]
    step = max(height, width) / GRID_NODES
    rows, columns = int(np.ceil(height / step)) + 1, int(np.ceil(width / step)) + 1
    depth = _grid_depth(face, model, step, (rows, columns), float(center[2]))
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) * step
    source = np.stack([x, y], -1).reshape(-1, 2)
    nodes = (np.concatenate([source, depth.reshape(-1, 1)], 1) - center) @ rotation.T + center
    triangles = _grid_triangles(rows, columns)
    drawn = rasterize_fast(gather_corners(nodes, triangles), height, width, cull=False)
    place = np.full((height * width, 2), -0.5, np.float32)
    place[drawn.pixel] += interpolate_corners(source, triangles[drawn.triangle], drawn.weight)
    at = place.reshape(height, width, 2)
    warped = cv2.remap(picture, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8), drawn.depth


def _grid_depth(face: Faces, model: HeadModel, step: float, shape: tuple[int, int], back: float) -> Floats:
    """Depth (rows, columns) px of the grid's nodes: the head's surface; around it that of the nearest outline, fading to `back`."""
    import cv2

    vertices = _to_px(model.vertices(face.identity, face.expression)[0], face).astype(np.float32)
    vertices[:, :2] = vertices[:, :2] / step + 0.5  # nodes are the centers of the pixels of a coarse image
    depth = rasterize_fast(gather_corners(vertices, model.triangles), *shape, cull=False).depth
    inside = np.isfinite(depth)
    if not inside.any():
        return np.full(shape, back, np.float32)
    depth = np.minimum(depth, np.float32(back))  # keep the far side of neck and skull from swinging out
    distance, label = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros(label.max() + 1, np.float32)
    of_label[label[inside]] = depth[inside]
    fade = np.clip(distance * step / (FADE_M * face.scale[0]), 0, 1)
    fade = fade * fade * (3 - 2 * fade)
    around = of_label[label] * (1 - fade) + back * fade
    smooth = cv2.GaussianBlur(np.where(inside, depth, around).astype(np.float32), (0, 0), 2.0)
    result: Floats = np.where(inside, depth, smooth).astype(np.float32)
    return result


def _stretch(head: Floats, before: Faces, after: Faces, painter: FacePainter) -> Floats:
    """Compute how much the rotation stretches the image of each of the painter's triangles (T,)."""
    normal = vertex_normals(head, painter.model.triangles)[painter.triangles].mean(1)
    was, now = (-(normal @ face.rotation[0][2]) for face in (before, after))
    return np.asarray(np.maximum(now, 0.05) / np.maximum(was, 0.02))


def _silhouette(face: Faces, model: HeadModel, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Draw 1 where the face is, from ear to ear and to below the chin, (H, W) float32."""
    points = project(model.vertices(face.identity, face.expression)[0], face.rotation[0], face.scale[0], face.center[0])
    on_chart = (model.uv[model.triangles] >= 0).all((1, 2))
    depth = rasterize_fast(gather_corners(points, model.triangles[on_chart]), *shape, cull=False).depth
    return np.isfinite(depth).astype(np.float32)


def _black_border(picture: Image) -> NDArray[np.bool_]:
    """Find black areas that reach the image's edge (H, W), as photos have that were rotated before."""
    import cv2

    black = (picture.max(2) < _BLACK_LEVEL).astype(np.uint8)
    if black.mean() < 0.005:
        return np.zeros(black.shape, bool)
    _, label = cv2.connectedComponents(black)
    edge = np.unique(np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]]))
    return np.asarray(np.isin(label, edge[edge > 0]) & (black > 0))


def _to_px(points: Floats, face: Faces) -> Floats:
    """Project points (..., 3), meters, head frame, to x y px of the photo and z on the same scale (smaller is nearer)."""
    return np.asarray(points @ face.rotation[0].T * face.scale[0] + np.append(face.center[0], 0.0))


def _grid_triangles(rows: int, columns: int) -> NDArray[np.int32]:
    """Make two triangles for each cell of a grid, (T, 3)."""
    n = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = n[:-1, :-1].ravel(), n[:-1, 1:].ravel(), n[1:, :-1].ravel(), n[1:, 1:].ravel()
    return np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)]).astype(np.int32)
