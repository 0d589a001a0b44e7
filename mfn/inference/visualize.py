"""Faces drawn over their picture: shaded head meshes, boxes with scores, head axes; from 12-px faces to 4k photos.

Frame: picture px, x right, y down; pixel (row i, column j) covers [j, j+1) x [i, i+1). Colours are sRGB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from retarget.io.images import Picture

if TYPE_CHECKING:
    from mfn.structures.head_model import HeadModel

# Tints that stay apart from skin and from each other, sRGB 0 to 1: neighbours in the list are never alike.
TINTS = np.array(
    [
        (0.36, 0.74, 0.86),
        (0.97, 0.72, 0.36),
        (0.60, 0.80, 0.44),
        (0.80, 0.58, 0.88),
        (0.95, 0.55, 0.52),
        (0.45, 0.83, 0.69),
        (0.93, 0.85, 0.42),
        (0.55, 0.64, 0.94),
    ],
    np.float32,
)
AXES = ((225, 60, 50), (70, 190, 70), (60, 110, 235))
AXIS_M = 0.09
OPACITY = 0.78
_PLAIN = {  # part of a region's name -> colour
    "eyeball": (0.97, 0.97, 0.96),
    "iris": (0.16, 0.17, 0.22),
    "pupil": (0.05, 0.05, 0.06),
    "teeth": (0.95, 0.94, 0.90),
    "gum": (0.70, 0.35, 0.36),
    "tongue": (0.75, 0.36, 0.38),
    "mouth": (0.30, 0.12, 0.13),
    "socket": (0.30, 0.12, 0.13),
}


def draw_faces(picture: Picture, faces: Faces, head_model: HeadModel | None = None) -> Picture:
    """A copy of the picture with every face drawn on it.

    picture: (H, W, 3) uint8 RGB; faces: N rows in px of the picture, all of them are drawn; head_model: whose meshes
    are laid over the faces, None for boxes and axes only.
    """
    canvas = picture.copy()
    numbers = np.c_[faces.box, faces.center, faces.scale, faces.rotation.reshape(len(faces), 9)]
    number = np.flatnonzero(np.isfinite(numbers).all(1))
    faces = faces[number]
    if not len(faces):
        return canvas
    if head_model is not None:
        draw_heads(canvas, picture, faces, head_model)
    for i in np.argsort(faces.scale, kind="stable"):
        _draw_axes(canvas, faces.rotation[i], faces.center[i], float(faces.scale[i]))
        _draw_box(canvas, faces.box[i], f"{number[i]} {faces.score[i]:.2f}", tint(int(i)))
    return canvas


def tint(number: int) -> tuple[int, int, int]:
    """The colour of a face, sRGB 0 to 255."""
    r, g, b = np.round(TINTS[number % len(TINTS)] * 255).astype(int).tolist()
    return r, g, b


def draw_heads(canvas: Picture, behind: Picture, faces: Faces, head_model: HeadModel, opacity: float = OPACITY) -> None:
    """Shaded meshes into `canvas`, nearer over farther; what shows through is `behind`; both (H, W, 3) uint8."""
    vertices = head_model.vertices(faces.identity, faces.expression)
    plain, mask = region_colours(head_model), face_mask(head_model) * opacity
    triangles = head_model.triangles[(mask[head_model.triangles] > 0).any(1)]
    for i in np.argsort(faces.scale, kind="stable"):
        colours = np.where(np.isnan(plain), TINTS[i % len(TINTS)], plain)
        paint_head(canvas, behind, (vertices[i], triangles, np.c_[colours, mask]), faces[int(i)])


def face_mask(head_model: HeadModel) -> NDArray[np.float32]:
    """(V,) 1 on the face, fading to 0 towards hair, ears and neck, which stay as the photo shows them."""
    x, y, z = head_model.mean.T
    chin, temple = head_model.landmark_basis("ibug68")[0][[8, 0]]
    front = ramp(z, temple[2] - 0.02, temple[2] + 0.012)
    below_hair = ramp(y, 0.074 - 5 * x**2, 0.05 - 5 * x**2)
    above_neck = ramp(y, chin[1] - 0.016, chin[1] - 0.004)
    skin = front * below_hair * above_neck * ~head_model.region_mask("neck")
    return np.where(head_model.region_mask("face", "scalp", "ears", "neck"), skin, 1).astype(np.float32)


def ramp(value: NDArray, zero: NDArray | float, one: NDArray | float) -> NDArray:
    """0 to 1 between two bounds, smoothly."""
    t = np.clip((value - zero) / (np.asarray(one) - zero), 0, 1)
    return t * t * (3 - 2 * t)


def region_colours(head_model: HeadModel) -> NDArray[np.float32]:
    """sRGB 0 to 1 (V, 3) of vertices that have a colour of their own (eyes, teeth); NaN where a tint goes."""
    colours = np.full((len(head_model.region_names), 3), np.nan, np.float32)
    for number, name in enumerate(head_model.region_names):
        for part, colour in _PLAIN.items():
            if part in name:
                colours[number] = colour
    return colours[head_model.region]


def paint_head(
    canvas: Picture, behind: Picture, mesh: tuple[NDArray, NDArray, NDArray], face: Faces, cull: bool = True
) -> None:
    """One lit, anti-aliased head into `canvas`.

    behind: what shows through where it is not opaque, (H, W, 3) uint8 as `canvas`; mesh: vertices (V, 3) m in the
    head's frame, triangles (T, 3), colours (V, 4) sRGB and opacity 0 to 1; face: one row, its pose; cull: leave out
    what is seen from its inside.
    """
    from retarget.geometry.mesh import vertex_normals
    from retarget.render import shading

    vertices, triangles, colours = mesh
    rotation = face.rotation[0]
    points = vertices @ rotation.T * face.scale[0]
    points[:, :2] += face.center[0]
    normals = vertex_normals(vertices, triangles) @ rotation.T
    triangles = _towards_viewer(points, triangles) if cull else triangles
    if not len(triangles) or not np.isfinite(points).all():
        return
    used = points[np.unique(triangles), :2]
    limit = (canvas.shape[1], canvas.shape[0])
    low, high = (np.clip(edge, 0, limit).astype(int) for edge in (np.floor(used.min(0)), np.ceil(used.max(0))))
    if (high <= low).any():
        return
    samples = 2 if (high - low).max() < 1000 else 1
    values = np.concatenate([shading.srgb_to_linear(colours[:, :3]), colours[:, 3:], normals], 1)
    shifted = (points - (low[0], low[1], 0)) * (samples, samples, 1)
    layer = _lit(shifted, triangles, values, tuple((high - low)[::-1] * samples))
    layer = shading.downsample(layer, samples)
    where = (slice(low[1], high[1]), slice(low[0], high[0]))
    drawn = layer[..., 3] > 0
    canvas[where][drawn] = shading.compose(layer, np.ascontiguousarray(behind[where]))[drawn]


def _lit(points: NDArray, triangles: NDArray, values: NDArray, size: tuple[int, int]) -> NDArray[np.float32]:
    """points (V, 3) px; values (V, 7) linear colour, opacity, normal -> (H, W, 4) light times cover, cover."""
    from retarget.render import rasterizer as raster
    from retarget.render import shading

    triangle, weight = raster.rasterize(points, triangles, *size)
    drawn = triangle >= 0
    pixel = raster.interpolate(values, triangles, triangle[drawn], weight[drawn])
    normal = pixel[:, 4:] / np.maximum(np.linalg.norm(pixel[:, 4:], axis=1, keepdims=True), 1e-6)
    layer = np.zeros((*size, 4), np.float32)
    cover = pixel[:, 3:4]
    layer[drawn] = np.concatenate([shading.shade(pixel[:, :3], normal) * cover, cover], 1)
    return layer


def _towards_viewer(points: NDArray, triangles: NDArray) -> NDArray:
    """The triangles that show their outside: counter-clockwise as seen, y down. points: (V, 3) px."""
    a, b, c = (points[triangles[:, k], :2] for k in range(3))
    return triangles[(b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) < (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])]


def _weight(height_px: float, canvas: Picture) -> int:
    """Line width in px: follows the picture, and thinner on small faces."""
    most = max(1.0, max(canvas.shape[:2]) / 700)
    return max(1, round(min(most, height_px / 24)))


def _draw_axes(canvas: Picture, rotation: NDArray, center: NDArray, scale: float) -> None:
    """The head's x (to its left, red), y (up, green) and z (out of the face, blue), the farther first."""
    import cv2

    tips = rotation[:2].T * (scale * AXIS_M) + center  # (3 axes, 2)
    width = _weight(scale * 0.2, canvas)
    for axis in np.argsort(-rotation[2]):
        ends = _sixteenths(center), _sixteenths(tips[axis])
        cv2.line(canvas, *ends, AXES[axis], width, cv2.LINE_AA, shift=4)


def _draw_box(canvas: Picture, box: NDArray, label: str, colour: tuple[int, int, int]) -> None:
    import cv2

    height = float(box[3] - box[1])
    width = _weight(height, canvas)
    low, high = (tuple(np.clip(np.floor(corner), -4096, 30000).astype(int).tolist()) for corner in (box[:2], box[2:]))
    cv2.rectangle(canvas, low, high, colour, width)  # along the pixels, so that it is sharp
    if height < 24:  # a label would hide the face; the table and the JSON have it
        return
    size = np.clip(height / 260, 0.32, max(0.5, max(canvas.shape[:2]) / 1600))
    stroke = max(1, round(float(size) * 1.6))
    (across, up), down = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, float(size), stroke)
    margin = max(1, round(up * 0.3))
    tall = up + down // 2 + 2 * margin
    left = int(np.clip(box[0] - width / 2, 0, max(0, canvas.shape[1] - across - 2 * margin)))
    top = int(box[1] - tall) if box[1] >= tall else int(max(0, box[1]))
    cv2.rectangle(canvas, (left, top), (left + across + 2 * margin, top + tall), colour, cv2.FILLED)
    at = (left + margin, top + margin + up)
    cv2.putText(canvas, label, at, cv2.FONT_HERSHEY_SIMPLEX, float(size), (20, 20, 24), stroke, cv2.LINE_AA)


def _sixteenths(point: NDArray) -> tuple[int, int]:
    """A point in px as the whole numbers of 1/16 px that OpenCV draws at (its pixel centres lie at whole numbers)."""
    x, y = np.round((np.clip(point, -4096, 30000) - 0.5) * 16).astype(int).tolist()
    return x, y
