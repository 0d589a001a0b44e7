"""Draw faces over their picture: shaded head meshes, boxes with scores, and head axes.

Frame: px of the picture, x right, y down; the pixel in row i and column j covers [j, j+1) x [i, i+1). Colors are sRGB.
Letters: V vertices, T triangles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel, default_head_model
from retarget.geometry.mesh import vertex_normals
from retarget.io.images import Image, as_image
from retarget.render import rasterizer, shading
from retarget.render.fast_rasterizer import interpolate_corners

if TYPE_CHECKING:
    from mfn.inference.input.picture_sources import Source

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
"""Colors of faces, sRGB 0 to 1. They differ from skin, and neighbors in the list differ clearly."""
AXIS_COLORS = ((225, 60, 50), (70, 190, 70), (60, 110, 235))
AXIS_LENGTH_M = 0.09
MESH_OPACITY = 0.78
_MIN_LABEL_PX = 24  # a label would hide a face of less height
_MAX_SUPERSAMPLED_PX = 1000  # larger heads are drawn with one sample a pixel
_REGION_COLORS = {  # part of a region's name -> color
    "eyeball": (0.97, 0.97, 0.96),
    "iris": (0.16, 0.17, 0.22),
    "pupil": (0.05, 0.05, 0.06),
    "teeth": (0.95, 0.94, 0.90),
    "gum": (0.70, 0.35, 0.36),
    "tongue": (0.75, 0.36, 0.38),
    "mouth": (0.30, 0.12, 0.13),
    "socket": (0.30, 0.12, 0.13),
}


class ColoredMesh(NamedTuple):
    """A head: vertices (V, 3) in meters, head frame; triangles (T, 3); colors (V, 4), sRGB and opacity, 0 to 1."""

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    colors: NDArray[np.float32]


def draw(picture: Source, faces: Faces, *, mesh: bool = True) -> Image:
    """Draw faces on a copy of their picture.

        mfn.draw("crowd.jpg", faces)

    Args:
        picture: A path, the bytes of an image file, a Pillow image, or an array (H, W, 3) uint8 RGB.
        faces: N faces in px of the picture. All are drawn: of a list of pictures, select one with `faces[faces.image == i]`.
        mesh: Whether to draw the head meshes too, and not only boxes and axes.

    Returns:
        The drawing, (H, W, 3) uint8 RGB.
    """
    return draw_faces(as_image(picture), faces, default_head_model() if mesh else None)


def draw_faces(picture: Image, faces: Faces, head_model: HeadModel | None = None) -> Image:
    """Draw faces on a copy of their picture.

    Args:
        picture: (H, W, 3) uint8 RGB.
        faces: N faces in px of the picture. Faces with numbers that are not finite are left out.
        head_model: The model whose meshes are drawn, or None for boxes and axes only.

    Returns:
        The drawing, (H, W, 3) uint8 RGB.
    """
    canvas: Image = picture.copy()
    numbers = np.c_[faces.box, faces.center, faces.scale, faces.rotation.reshape(len(faces), 9)]
    number = np.flatnonzero(np.isfinite(numbers).all(1))
    faces = faces[number]
    if not len(faces):
        return canvas
    if head_model is not None:
        draw_heads(canvas, picture, faces, head_model)
    for i in np.argsort(faces.scale, kind="stable"):
        _draw_axes(canvas, faces.rotation[i], faces.center[i], float(faces.scale[i]))
        _draw_box(canvas, faces.box[i], f"{number[i]} {faces.score[i]:.2f}", face_color(int(i)))
    return canvas


def draw_boxes(picture: Image, faces: Faces) -> Image:
    """Draw the boxes of faces with their numbers and scores on a copy of their picture (H, W, 3) uint8 RGB."""
    canvas: Image = picture.copy()
    for i in np.argsort(faces.scale, kind="stable"):
        if np.isfinite(faces.box[i]).all():
            _draw_box(canvas, faces.box[i], f"{i} {faces.score[i]:.2f}", face_color(int(i)))
    return canvas


def face_color(number: int) -> tuple[int, int, int]:
    """Return the color of a face, sRGB 0 to 255."""
    r, g, b = np.round(TINTS[number % len(TINTS)] * 255).astype(int).tolist()
    return r, g, b


def draw_heads(canvas: Image, background: Image, faces: Faces, head_model: HeadModel, opacity: float = MESH_OPACITY) -> None:
    """Draw shaded head meshes into `canvas`, the nearer over the farther ones.

    Args:
        canvas: (H, W, 3) uint8 to draw into.
        background: (H, W, 3) uint8, what shows through the meshes.
        faces: N faces in px of the canvas.
        head_model: The model of the meshes.
        opacity: 0 to 1.
    """
    vertices = head_model.vertices(faces.identity, faces.expression)
    plain, mask = region_colors(head_model), face_mask(head_model) * opacity
    triangles = head_model.triangles[(mask[head_model.triangles] > 0).any(1)]
    for i in np.argsort(faces.scale, kind="stable"):
        colors = np.where(np.isnan(plain), TINTS[i % len(TINTS)], plain)
        paint_head(canvas, background, ColoredMesh(vertices[i], triangles, np.c_[colors, mask]), faces[int(i)])


def face_mask(head_model: HeadModel) -> NDArray[np.float32]:
    """Return an opacity (V,): 1 on the face, falling to 0 towards hair, ears and neck, where the photo stays visible."""
    x, y, z = head_model.mean.T
    chin, temple = head_model.landmark_basis("ibug68")[0][[8, 0]]
    front = ramp(z, temple[2] - 0.02, temple[2] + 0.012)
    below_hair = ramp(y, 0.074 - 5 * x**2, 0.05 - 5 * x**2)
    above_neck = ramp(y, chin[1] - 0.016, chin[1] - 0.004)
    skin = front * below_hair * above_neck * ~head_model.region_mask("neck")
    return np.where(head_model.region_mask("face", "scalp", "ears", "neck"), skin, 1).astype(np.float32)


def ramp(value: NDArray[Any], zero: NDArray[Any] | float, one: NDArray[Any] | float) -> NDArray[Any]:
    """Rise smoothly (cubic Hermite) from 0 where `value` is `zero` to 1 where it is `one`."""
    t = np.clip((value - zero) / (np.asarray(one) - zero), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def region_colors(head_model: HeadModel) -> NDArray[np.float32]:
    """Return the colors (V, 3), sRGB 0 to 1, of eyes, teeth and mouth interior; NaN where the face's own color is used."""
    colors = np.full((len(head_model.region_names), 3), np.nan, np.float32)
    for number, name in enumerate(head_model.region_names):
        for part, color in _REGION_COLORS.items():
            if part in name:
                colors[number] = color
    return colors[head_model.region]


def paint_head(canvas: Image, background: Image, mesh: ColoredMesh, face: Faces, cull: bool = True) -> None:
    """Draw one lit, anti-aliased head into `canvas`.

    Args:
        canvas: (H, W, 3) uint8 to draw into.
        background: (H, W, 3) uint8, what shows through where the head is not opaque.
        mesh: The head.
        face: One face, for its pose, in px of the canvas.
        cull: Whether to leave out triangles that are seen from inside.
    """
    rotation = face.rotation[0]
    points = mesh.vertices @ rotation.T * face.scale[0]
    points[:, :2] += face.center[0]
    normals = vertex_normals(mesh.vertices, mesh.triangles) @ rotation.T
    triangles = _facing_viewer(points, mesh.triangles) if cull else mesh.triangles
    if not len(triangles) or not np.isfinite(points).all():
        return
    used = points[np.unique(triangles), :2]
    limit = (canvas.shape[1], canvas.shape[0])
    low, high = (np.clip(edge, 0, limit).astype(int) for edge in (np.floor(used.min(0)), np.ceil(used.max(0))))
    if (high <= low).any():
        return
    samples = 2 if (high - low).max() < _MAX_SUPERSAMPLED_PX else 1
    values = np.concatenate([shading.srgb_to_linear(mesh.colors[:, :3]), mesh.colors[:, 3:], normals], 1)
    shifted = (points - (low[0], low[1], 0)) * (samples, samples, 1)
    height, width = (high - low)[::-1] * samples
    layer = shading.downsample(_shade(shifted, triangles, values, (int(height), int(width))), samples)
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    drawn = layer[..., 3] > 0
    canvas[part][drawn] = shading.compose(layer, np.ascontiguousarray(background[part]))[drawn]


def _shade(points: NDArray[Any], triangles: NDArray[Any], values: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """Rasterize and light a mesh.

    Args:
        points: (V, 3) px.
        triangles: (T, 3).
        values: (V, 7) linear color, opacity, normal.
        size: Height and width of the layer in px.

    Returns:
        (H, W, 4): light times opacity, and opacity.
    """
    triangle, weight = rasterizer.rasterize(points, triangles, *size)
    drawn = triangle >= 0
    pixel = interpolate_corners(values, triangles[triangle[drawn]], weight[drawn])
    normal = pixel[:, 4:] / np.maximum(np.linalg.norm(pixel[:, 4:], axis=1, keepdims=True), 1e-6)
    layer = np.zeros((*size, 4), np.float32)
    opacity = pixel[:, 3:4]
    layer[drawn] = np.concatenate([shading.shade(pixel[:, :3], normal) * opacity, opacity], 1)
    return layer


def _facing_viewer(points: NDArray[Any], triangles: NDArray[Any]) -> NDArray[Any]:
    """Return the triangles whose outside is visible: counter-clockwise as seen, y down. Points are (V, 3) px."""
    a, b, c = (points[triangles[:, k], :2] for k in range(3))
    return np.asarray(triangles[(b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) < (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])])


def _line_width_px(height_px: float, canvas: Image) -> int:
    """Return a line width that grows with the picture and is thinner on small faces."""
    max_width: float = max(1.0, max(canvas.shape[:2]) / 700)
    return max(1, round(min(max_width, height_px / 24)))


def _draw_axes(canvas: Image, rotation: NDArray[Any], center: NDArray[Any], scale: float) -> None:
    """Draw the head's x (to its left, red), y (up, green) and z (out of the face, blue), the farthest first."""
    import cv2

    tips = rotation[:2].T * (scale * AXIS_LENGTH_M) + center  # (3 axes, 2)
    width = _line_width_px(scale * 0.2, canvas)
    for axis in np.argsort(-rotation[2]):
        ends = _sixteenths(center), _sixteenths(tips[axis])
        cv2.line(canvas, *ends, AXIS_COLORS[axis], width, cv2.LINE_AA, shift=4)


def _draw_box(canvas: Image, box: NDArray[Any], label: str, color: tuple[int, int, int]) -> None:
    import cv2

    height = float(box[3] - box[1])
    width = _line_width_px(height, canvas)
    low, high = (tuple(np.clip(np.floor(corner), -4096, 30000).astype(int).tolist()) for corner in (box[:2], box[2:]))
    cv2.rectangle(canvas, low, high, color, width)  # along the pixels, so that it is sharp
    if height < _MIN_LABEL_PX:  # the table and the JSON file have the score
        return
    size = np.clip(height / 260, 0.32, max(0.5, max(canvas.shape[:2]) / 1600))
    stroke = max(1, round(float(size) * 1.6))
    (across, up), down = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, float(size), stroke)
    margin = max(1, round(up * 0.3))
    tall = up + down // 2 + 2 * margin
    left = int(np.clip(box[0] - width / 2, 0, max(0, canvas.shape[1] - across - 2 * margin)))
    top = int(box[1] - tall) if box[1] >= tall else int(max(0, box[1]))
    cv2.rectangle(canvas, (left, top), (left + across + 2 * margin, top + tall), color, cv2.FILLED)
    at = (left + margin, top + margin + up)
    cv2.putText(canvas, label, at, cv2.FONT_HERSHEY_SIMPLEX, float(size), (20, 20, 24), stroke, cv2.LINE_AA)


def _sixteenths(point: NDArray[Any]) -> tuple[int, int]:
    """Convert a point in px to the units of 1/16 px that OpenCV draws at (its pixel centers are whole numbers)."""
    x, y = np.round((np.clip(point, -4096, 30000) - 0.5) * 16).astype(int).tolist()
    return x, y
