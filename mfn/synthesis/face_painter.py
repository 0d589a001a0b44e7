"""Painting of faces into photos: the head model's own colors, matched to the colors and the light of the photo.

Letters: H and W height and width of the image, F pixels that the face covers, V vertices, T triangles of the front of the head.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.appearance import Appearance, random_appearance
from mfn.synthesis.rendering.atlas import EYE_PX, MOUTH_PX, PAGE_PX, Page
from mfn.synthesis.rendering.head_renderer import HeadRenderer
from mfn.synthesis.rendering.lighting import EVEN_LIGHT
from retarget.geometry.mesh import vertex_normals
from retarget.render.fast_rasterizer import interpolate_corners

Floats = NDArray[np.floating]

_TEETH_COLUMN_PX = 2 * PAGE_PX + EYE_PX + 0.8 * MOUTH_PX  # teeth lie to the right of this column of the atlas
_MAX_PAINTED_REFERENCE = 0.05  # pixels that are painted less than this show the photo's own colors
_MATCH_SIZE_M = 0.036  # size of the neighborhood whose colors are matched


class Surface(NamedTuple):
    """The pixels of a photo that a face covers.

    Attributes:
        pixel: (F,) numbers of the pixels, counted row by row.
        triangle: (F,) index into `FacePainter.triangles`.
        share: (F, 3) weights of the triangle's corners.
        painted: (F,) in [0, 1], how much of each pixel is to be painted.
    """

    pixel: NDArray[np.intp]
    triangle: NDArray[np.intp]
    share: Floats
    painted: Floats


class FacePainter:
    """Paints parts of a face that a photo does not show. Its constructor takes about a second."""

    def __init__(self, model: HeadModel) -> None:
        self.model = model
        self._renderer = HeadRenderer(model)
        self._texture = self._renderer.painter.paint(*_plain_person())
        front = np.flatnonzero(self._renderer.atlas.page != Page.SCALP)
        self.triangles = model.triangles[front]
        self.page = self._renderer.atlas.page[front]
        self.corner_regions = np.array(model.region_names)[model.region][self.triangles]  # (T, 3) names
        self._corner_px = self._renderer.atlas.corner[front].reshape(-1, 2)
        self._lip = (self.corner_regions == "lips").all(1)
        self._plain_skin = (self.corner_regions == "face").all(1) & (self.page == Page.FACE)

    def repaint(self, light: Floats, vertices: Floats, face: Faces, surface: Surface, edge_px: float) -> Floats:
        """Blend painted pixels into a photo.

        Args:
            light: (H, W, 3) linear light of the photo; not changed.
            vertices: (V, 3) meters, the head as it is to be seen.
            face: one row, its pose.
            surface: the pixels that it covers.
            edge_px: standard deviation of the soft edge of what is painted.

        Returns:
            (H, W, 3) linear light.
        """
        if not surface.painted.any():
            return light
        import cv2

        mask = np.zeros(light.shape[:2], np.float32)
        mask.ravel()[surface.pixel] = surface.painted
        painted = self.paint(light, vertices, face, surface)
        return np.asarray(light + (painted - light) * cv2.GaussianBlur(mask, (0, 0), edge_px)[..., None])

    def paint(self, light: Floats, vertices: Floats, face: Faces, surface: Surface) -> Floats:
        """Paint the whole face in the photo's colors. Arguments and result are those of `repaint`.

        Skin is matched to the skin around each pixel; lips, eyes and mouth are matched as a whole.
        """
        page = self.page[surface.triangle]
        color, column_px = self._own_color(vertices, face.rotation[0], surface, page)
        photo = light.reshape(-1, 3)[surface.pixel]
        reference = (surface.painted < _MAX_PAINTED_REFERENCE) & self._plain_skin[surface.triangle]
        if reference.any():
            overall: Floats = photo[reference].mean(0) / np.maximum(color[reference].mean(0), 1e-4)
        else:
            overall = np.ones(3)
        size_px = max(int(_MATCH_SIZE_M * float(face.scale[0])) | 1, 3)
        pixels = surface.pixel[reference]
        ratio = _local_ratio(light.shape, pixels, photo[reference], color[reference], size_px, overall)
        painted = color * ratio.reshape(-1, 3)[surface.pixel]
        lip = self._lip[surface.triangle]
        shown = lip & (surface.painted < _MAX_PAINTED_REFERENCE)
        if shown.any():
            painted[lip] = color[lip] * (photo[shown].mean(0) / np.maximum(color[shown].mean(0), 1e-4))
        mouth = page == Page.MOUTH
        inner = mouth | (page == Page.EYE)
        brightness = np.where(mouth & (column_px > _TEETH_COLUMN_PX), 1.25, np.where(mouth, 0.5, 0.8))[inner, None]
        painted[inner] = color[inner] * brightness * float(np.clip(overall.mean(), 0.1, 2.0))
        out: Floats = light.copy()
        out.reshape(-1, 3)[surface.pixel] = painted
        return out

    def _own_color(
        self, vertices: Floats, rotation: Floats, surface: Surface, page: NDArray[np.uint8]
    ) -> tuple[Floats, NDArray[np.int_]]:
        """Compute the model's own color (F, 3) in even light, and the column (F,) px of the atlas that it comes from."""
        normal = vertex_normals(vertices, self.model.triangles)
        diffuse = self._renderer.light_vertices(normal, rotation, EVEN_LIGHT).diffuse
        lit = np.maximum(interpolate_corners(diffuse, self.triangles[surface.triangle], surface.share), 0.45)
        lit[page == Page.MOUTH] *= 0.7
        place = interpolate_corners(self._corner_px, surface.triangle[:, None] * 3 + np.arange(3), surface.share).astype(int)
        return self._texture[place[:, 1].clip(0, PAGE_PX - 1), place[:, 0]] * lit, place[:, 0]


def _plain_person() -> tuple[Appearance, np.random.Generator]:
    """Make the appearance of a person without brows, beard and hair, and the random numbers for painting it."""
    rng = np.random.default_rng(0)
    skin = np.array([0.45, 0.27, 0.19], np.float32)
    person = replace(
        random_appearance(rng), skin=skin, lips=skin * np.array([0.8, 0.5, 0.5], np.float32), brow=0.0, jaw_beard=0.0,
        chin_beard=0.0, moustache=0.0, mask=False, cover="none", hairline_m=1.0, lashes=0.8, eye_shadow=0.0, age=0.2,
    )  # fmt: skip
    return person, rng


def _local_ratio(
    shape: tuple[int, ...], pixel: NDArray[np.intp], photo: Floats, color: Floats, size_px: int, overall: Floats
) -> Floats:
    """Compute the ratio (H, W, 3) of the photo's color to the model's in the neighborhood of each pixel.

    pixel (R,), photo (R, 3), color (R, 3): where both are known; overall (3,): ratio where nothing is known nearby.
    """
    import cv2

    fields = np.zeros((2, *shape[:2], 3), np.float32)
    fields[0].reshape(-1, 3)[pixel], fields[1].reshape(-1, 3)[pixel] = photo, color
    photo_sum, color_sum = (cv2.blur(cv2.blur(field, (size_px, size_px)), (size_px, size_px)) for field in fields)
    return np.asarray((photo_sum + 1e-4 * overall) / (color_sum + 1e-4))
