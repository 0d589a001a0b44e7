"""New expressions for real photos: the photo is warped as the fitted head model moves, so that the new labels are exact.

Skin moves with the surface and takes its new shading; around the face the motion fades out. What the photo does not show (the inside of a
mouth that opens, a lid that closes) is painted in the colors and the light of the skin around it. Letters: H and W height and width of
the edited window, F pixels that the face covers, V vertices, T triangles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import project
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.face_painter import FacePainter, Surface
from mfn.synthesis.rendering.atlas import EYE_REGIONS, MOUTH_REGIONS, Page
from retarget.arkit import EXPRESSION_NAMES
from retarget.geometry.mesh import vertex_normals
from retarget.io.images import Image
from retarget.render.fast_rasterizer import gather_corners, interpolate_corners, rasterize_fast

Floats = NDArray[np.floating]

FADE_M = 0.045  # distance from the face at which the motion has faded out
HIDDEN_M = 0.007  # a point this far behind the visible surface was occluded in the photo
MAX_NEW_MOUTH = 0.25  # share of an open mouth's inside that may be new; above it the edit is marked as fully painted
OPEN_MOUTH_M = 0.0025  # the photo shows the inside of the mouth if the lips are farther apart


class EditedPhoto(NamedTuple):
    """A photo with a new expression.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        face: one row with the new expression; its box is still the old one.
        painted_share: share of the face's pixels that were painted.
        mean_motion_px: mean distance that the face's pixels moved.
    """

    picture: Image
    face: Faces
    painted_share: float
    mean_motion_px: float


class ExpressionEditor:
    """Changes expressions in photos. Its constructor takes about a second; one editor serves any number of photos."""

    def __init__(self, model: HeadModel) -> None:
        self.model = model
        self.painter = FacePainter(model)
        self.moving = np.unique(self.painter.triangles)  # vertices that expressions move
        self._lid = (self.painter.corner_regions == "lids").sum(1) >= 2
        self._left = model.mean[self.painter.triangles, 0].mean(1) > 0  # the subject's left

    def edit(self, picture: Image, face: Faces, expression: Floats) -> EditedPhoto:
        """Change the expression of one face.

        Args:
            picture: (H, W, 3) uint8 RGB.
            face: one row, fitted to the photo.
            expression: (1, 51) the new expression, in [0, 1].
        """
        old, new = (self.model.vertices(face.identity, e)[0] for e in (face.expression, expression))
        old_px, new_px = (project(v, face.rotation[0], face.scale[0], face.center[0]) for v in (old, new))
        x1, y1, x2, y2 = self._window(old_px, new_px, picture, float(face.scale[0]))
        part = picture[y1:y2, x1:x2]
        old_px[:, :2] -= (x1, y1)
        new_px[:, :2] -= (x1, y1)
        edited = face.replace(expression=expression.astype(np.float32))
        triangles = self.painter.triangles
        drawn = rasterize_fast(gather_corners(new_px, triangles), *part.shape[:2])
        if not len(drawn.pixel):
            return EditedPhoto(picture.copy(), edited, 1.0, 0.0)
        source = interpolate_corners(old_px, triangles[drawn.triangle], drawn.weight)
        visible = _was_visible(old_px, triangles, source, part.shape[:2], float(face.scale[0]))
        painted = self._painted_shares(visible, drawn.triangle, old, face.expression[0], expression[0])
        surface = Surface(drawn.pixel, drawn.triangle, drawn.weight, painted)
        motion = source[:, :2] - _pixel_centers(drawn.pixel, part.shape[1])
        light = self._warp(part, surface, motion, float(face.scale[0]))
        light *= self._shading(part, old, new, old_px, face, surface)[..., None]
        light = self.painter.repaint(light, new, face, surface, edge_px=0.6)
        result = picture.copy()
        result[y1:y2, x1:x2] = _BYTES_OF_LIGHT[np.clip(light * 4095, 0, 4095).astype(np.int32)]
        mean_motion = float(np.linalg.norm(motion, axis=1).mean())
        return EditedPhoto(result, edited, float(painted.mean()), mean_motion)

    def _window(
        self, old_px: Floats, new_px: Floats, picture: Image, scale: float
    ) -> tuple[int, int, int, int]:
        """Bounds x1 y1 x2 y2 (px) of what may change: the face before and after, and where the motion fades out."""
        both = np.concatenate([old_px[self.moving], new_px[self.moving]])[:, :2]
        margin = FADE_M * scale + 3
        low = np.floor(both.min(0) - margin).astype(int).clip(0, np.array(picture.shape[1::-1]) - 2)
        high = np.ceil(both.max(0) + margin).astype(int).clip(low + 1, picture.shape[1::-1])
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def _painted_shares(
        self, visible: NDArray[np.bool_], triangle: NDArray[np.intp], old: Floats, before: Floats, after: Floats
    ) -> Floats:
        """Choose how much of each pixel (F,) must be painted, 0 to 1.

        old: (V, 3) meters, the head in the photo; before, after: (51,) expressions.
        """
        painted = np.where(visible, 0.0, 1.0).astype(np.float32)
        lips = self.model.points(old, "ibug68")
        mouth = self.painter.page[triangle] == Page.MOUTH
        if np.linalg.norm(lips[66] - lips[62]) < OPEN_MOUTH_M:
            painted[mouth] = 1
        elif painted[mouth].sum() > MAX_NEW_MOUTH * mouth.sum():
            painted[:] = 1  # a mouth interior that is half photo and half painted is never convincing
        else:
            painted[mouth] = 0
        for side, left in (("Left", True), ("Right", False)):
            blink = EXPRESSION_NAMES.index(f"eyeBlink{side}")
            closing = float(np.clip((after[blink] - before[blink]) * 2.5, 0, 0.85))
            lid = self._lid[triangle] & (self._left[triangle] == left)
            painted[lid] = np.maximum(painted[lid], closing)
        return painted

    def _warp(self, part: Image, surface: Surface, motion: Floats, scale: float) -> Floats:
        """Warp the window (H, W, 3) by the motion (F, 2) px of the face. Returns linear light."""
        import cv2

        height, width = part.shape[:2]
        field = _spread_motion(motion, surface.pixel, (height, width), FADE_M * scale)
        grid = np.mgrid[0:height, 0:width][::-1].transpose(1, 2, 0).astype(np.float32)
        warped = cv2.remap(part, grid + field, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(_LIGHT_OF_BYTES[warped])

    def _shading(
        self, part: Image, old: Floats, new: Floats, old_px: Floats, face: Faces, surface: Surface
    ) -> Floats:
        """Compute how much lighter each pixel (H, W) becomes because the surface turns."""
        import cv2

        change = self._vertex_shading(part, old, new, old_px, face)
        shade = np.ones(part.shape[:2], np.float32)
        corner = self.painter.triangles[surface.triangle]
        shade.ravel()[surface.pixel] = interpolate_corners(change[:, None], corner, surface.share)[:, 0]
        return np.asarray(cv2.GaussianBlur(shade, (0, 0), 0.8), np.float32)

    def _vertex_shading(self, part: Image, old: Floats, new: Floats, old_px: Floats, face: Faces) -> Floats:
        """Compute the change of light (V,) of each vertex, with light = a + b · normal fitted to the photo's skin."""
        before, after = (vertex_normals(v, self.model.triangles) for v in (old, new))
        skin = self.model.region_mask("face") & ((before @ face.rotation[0][2]) < -0.3)
        x, y = (old_px[skin, k].astype(int) for k in range(2))
        inside = (x >= 0) & (y >= 0) & (x < part.shape[1]) & (y < part.shape[0])
        if inside.sum() < 30:
            return np.ones(len(old), np.float32)
        brightness = (part[y[inside], x[inside]].astype(np.float32).mean(1) / 255) ** 2.2
        rows = np.concatenate([np.ones((int(inside.sum()), 1)), before[skin][inside]], 1)
        damped = rows.T @ rows + np.diag([0.0, 1, 1, 1]) * 0.02 * len(rows)
        fit = np.linalg.solve(damped, rows.T @ brightness)
        was, now = (np.maximum(fit[0] + n @ fit[1:], 0.25 * abs(fit[0]) + 1e-3) for n in (before, after))
        change = np.clip(now / was, 0.7, 1.35)
        change[self.model.region_mask(*EYE_REGIONS, *MOUTH_REGIONS)] = 1
        return np.asarray(change.astype(np.float32))


def _pixel_centers(pixel: NDArray[np.intp], width: int) -> Floats:
    """Centers (F, 2), x y px, of pixels that are counted row by row."""
    return np.stack([pixel % width + 0.5, pixel // width + 0.5], 1)


def _was_visible(
    points: Floats, triangles: NDArray[np.int32], source: Floats, shape: tuple[int, ...], scale: float
) -> NDArray[np.bool_]:
    """Test whether the photo shows the places `source` (F, 3) px of the face with the vertices `points` (V, 3) px."""
    depth = rasterize_fast(gather_corners(points, triangles), shape[0], shape[1]).depth
    x, y = source[:, 0].astype(int).clip(0, shape[1] - 1), source[:, 1].astype(int).clip(0, shape[0] - 1)
    return np.asarray(source[:, 2] < depth[y, x] + HIDDEN_M * scale)


def _spread_motion(motion: Floats, pixel: NDArray[np.intp], shape: tuple[int, int], fade_px: float) -> Floats:
    """Continue the motion (F, 2) of the face's pixels to all pixels (H, W, 2): that of the nearest one, less with distance."""
    import cv2

    inside = np.zeros(shape, bool)
    inside.ravel()[pixel] = True
    field = np.zeros((*shape, 2), np.float32)
    field.reshape(-1, 2)[pixel] = motion
    distance, label = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros((label.max() + 1, 2), np.float32)
    of_label[label.ravel()[pixel]] = motion
    left = np.clip(1 - distance / fade_px, 0, 1)
    spread = of_label[label] * (left * left * (3 - 2 * left))[..., None]
    smooth = cv2.GaussianBlur(np.where(inside[..., None], field, spread), (0, 0), 2.0)
    return np.where(inside[..., None], field, smooth)


_LIGHT_OF_BYTES = ((np.arange(256) / 255) ** 2.2).astype(np.float32)
_BYTES_OF_LIGHT = np.clip(255 * (np.arange(4096) / 4095) ** (1 / 2.2) + 0.5, 0, 255).astype(np.uint8)
