"""Fast rendering of painted heads: a z-buffer of the triangles that face the camera, with light computed at the vertices.

Letters: V vertices, T triangles, H and W height and width of the image, F drawn pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.head_model import HeadModel
from mfn.synthesis.appearance import Appearance
from mfn.synthesis.rendering.atlas import Page, build_atlas
from mfn.synthesis.rendering.face_masks import hair_height
from mfn.synthesis.rendering.lighting import Light, VertexLight, eye_reflections, light_transfer, light_vertices
from mfn.synthesis.rendering.texture import HeadPainter
from retarget.geometry.mesh import vertex_normals
from retarget.render.fast_rasterizer import gather_corners, interpolate_corners, rasterize_fast

Floats = NDArray[np.floating]
_GLOSS = 0.09  # strength of highlights, times how light the surface is: dark hair reflects little
_REMAP_COLUMNS = 4096


class Person(NamedTuple):
    """A painted head.

    Attributes:
        appearance: what it was painted from.
        texture: (H, W, 3) float32 atlas of reflectance in [0, 1], linear.
        neutral: (V, 3) float32 meters, head frame: its shape without expression, with the volume of hair, hat and mask.
        identity: (I,) standard deviations.
    """

    appearance: Appearance
    texture: Floats
    neutral: Floats
    identity: Floats

    def vertices(self, model: HeadModel, expression: Floats) -> Floats:
        """Return the shape (V, 3), meters, with an expression (51,)."""
        return self.neutral + (expression @ model.expression_basis.reshape(len(expression), -1)).reshape(-1, 3)


class RenderedHead(NamedTuple):
    """The pixels that a head covers.

    Attributes:
        color: (F, 3) linear light.
        pixel: (F,) number of each drawn pixel, counted row by row.
        depth: (H, W) depth in px, infinite where nothing was drawn.
    """

    color: Floats
    pixel: NDArray[np.intp]
    depth: Floats


class HeadRenderer:
    """Paints and renders heads of one head model. Its constructor takes about a second."""

    def __init__(self, model: HeadModel) -> None:
        self.model = model
        self.atlas = build_atlas(model)
        self.painter = HeadPainter(model, self.atlas)
        self.transfer = light_transfer(model)
        self.mean_normal = vertex_normals(model.mean, model.triangles)
        self.eyeballs = tuple(np.flatnonzero(model.region_mask(f"eyeball_{side}")) for side in ("left", "right"))

    def make_person(self, appearance: Appearance, identity: Floats, rng: np.random.Generator) -> Person:
        """Paint a head, and give it the volume of its hair, hat or mask.

        Args:
            appearance: colors and clothes of the person.
            identity: (I,) standard deviations.
            rng: source of random numbers.
        """
        model = self.model
        height = hair_height(model.mean)
        height[model.region_mask("ears", "neck")] = -1
        covered = appearance.cover != "none"
        rise = np.clip((height - (0.0 if covered else appearance.hairline_m)) / 0.03, 0, 1)
        if covered:
            volume: Floats | float = 0.004 + 0.5 * appearance.hair_volume_m
        else:
            volume = appearance.hair_volume_m * (0.6 + 0.5 * np.clip(height / 0.08, 0, 1))
        lumps = 1 + 0.3 * np.sin(model.mean @ rng.normal(0, 60, 3) + rng.uniform(0, 6)) * (not covered)
        offset = (rise * rise * (3 - 2 * rise) * volume * lumps)[:, None] * self.mean_normal
        if appearance.mask:
            offset = offset + _mask_distance_m(model)[:, None] * np.array([0, 0, 1.0])
        neutral = model.vertices(identity[None], np.zeros((1, len(model.expression_basis)), np.float32))[0] + offset
        return Person(appearance, self.painter.paint(appearance, rng), neutral.astype(np.float32), identity)

    def light_vertices(self, normal: Floats, rotation: Floats, light: Light) -> VertexLight:
        """Light a head whose normals (V, 3), head frame, are known. rotation: (3, 3) head to camera."""
        return light_vertices(self.transfer, self.mean_normal, normal, rotation, light)

    def render(
        self, person: Person, points: Floats, rotation: Floats, light: Light, shape: tuple[int, int]
    ) -> RenderedHead:
        """Render a lit head.

        Args:
            person: the painted head.
            points: (V, 3) px, its vertices after `mfn.structures.camera.project`.
            rotation: (3, 3) head to camera.
            light: the lamps, camera frame.
            shape: (height, width) px of the image.
        """
        triangles, atlas = self.model.triangles, self.atlas
        pixel, triangle, share, depth = rasterize_fast(gather_corners(points, triangles), *shape)
        diffuse, gloss = self.light_vertices(vertex_normals(points, triangles) @ rotation, rotation, light)
        corner = triangles[triangle]
        lit = interpolate_corners(np.concatenate([diffuse, gloss], 1), corner, share)
        place = interpolate_corners(atlas.corner.reshape(-1, 2), triangle[:, None] * 3 + np.arange(3), share) - 0.5
        reflectance = _sample(person.texture, place)
        page = atlas.page[triangle]
        _shade_openings(lit, page, pixel, points, shape)
        eye = np.flatnonzero(page == Page.EYE)
        highlight = lit[:, 3] * (0.012 + _GLOSS * reflectance[:, 0])
        highlight[eye] = 0
        color = reflectance * lit[:, :3] + highlight[:, None]
        if len(eye):
            outward = interpolate_corners(points, corner[eye], share[eye])
            left = self.model.mean[corner[eye, 0], :1] > 0
            outward -= np.where(left, *(points[part].mean(0) for part in self.eyeballs))
            color[eye] += eye_reflections(outward, light)
        return RenderedHead(color, pixel, depth)


def _mask_distance_m(model: HeadModel) -> Floats:
    """Distance (V,) in meters that a worn face mask stands off each vertex."""
    x, y, z = model.mean.T
    covered = np.clip((0.0 - y - 1.6 * x**2 - 0.012) / 0.012, 0, 1) * np.clip((z + 0.03) / 0.03, 0, 1)
    return np.asarray(0.006 * covered * ~model.region_mask("mouth_inside", "teeth", "gums", "tongue", "neck"))


def _sample(texture: Floats, place: Floats) -> Floats:
    """Sample a texture (H, W, 3) at places (F, 2), x y in px from the center of the first pixel. Returns (F, 3)."""
    import cv2

    rows = -(-len(place) // _REMAP_COLUMNS)
    padded = np.zeros((rows, _REMAP_COLUMNS, 2), np.float32)  # OpenCV takes no image with more columns than 32,767
    padded.reshape(-1, 2)[: len(place)] = place
    sampled = cv2.remap(texture, padded, None, cv2.INTER_LINEAR)
    return np.asarray(sampled.reshape(-1, 3)[: len(place)], np.float32)


def _shade_openings(
    lit: Floats, page: NDArray[np.uint8], pixel: NDArray[np.intp], points: Floats, shape: tuple[int, int]
) -> None:
    """Darken the eyes below their lids, and the mouth towards its inside. Changes `lit` (F, 4) in place."""
    import cv2

    head_px = float(np.ptp(points[:, 1])) or 1.0
    for part, size, min_light in ((Page.EYE, 0.03, 0.45), (Page.MOUTH, 0.05, 0.12)):
        drawn = page == part
        if not drawn.any():
            continue
        field = np.zeros(shape, np.float32)
        field.ravel()[pixel[drawn]] = 1
        k = max(int(size * head_px) | 1, 3)
        openness = cv2.blur(field, (k, k), anchor=(k // 2, min(k // 2 + k // 4, k - 1)))
        shade = np.clip(openness.ravel()[pixel[drawn]] * 1.25, 0, 1)
        lit[drawn] *= (min_light + (1 - min_light) * shade)[:, None]
