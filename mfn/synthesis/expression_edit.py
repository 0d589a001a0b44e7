"""Other expressions for real photos: a fitted face's coefficients are changed and the photo is moved as the mesh moves, with exact labels.

Skin goes with the surface and takes its new shading; around the face the motion fades out. What the photo does not show (the inside of a
mouth that opens, a lid that comes down) is painted, in the colours and the light of the skin about it. Letters: H W, F px of the face.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import project
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.appearance import random_appearance
from mfn.synthesis.atlas import EYE, EYEBALL, MOUTH, MOUTH_PART, PAGE, SKIN, WRAP, make_surface
from mfn.synthesis.fast_rasterizer import between, corners, draw_front
from mfn.synthesis.head_renderer import LIGHT_FROM_ABOVE, arrive
from mfn.synthesis.texture import Canvas
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Picture
from retarget.render.rasterizer import vertex_normals

Floats = NDArray[np.floating]
FADE_M = 0.045  # around the face the motion has gone within this distance
HIDDEN_M = 0.007  # a place so much farther than what the photo shows there is not seen in the photo
TEETH_FROM = 2 * PAGE + EYE + 0.8 * MOUTH  # px of the atlas
MOST_NEW = 0.25  # of an open mouth's inside; an edit that would show more that is new is marked as all made
OPEN_M = 0.0025  # lips farther apart than this show the mouth in the photo


class Edit(NamedTuple):
    """picture: (H, W, 3) uint8; face: one row, its box the old one; made: share of the face that had to be painted; moved: mean px"""

    picture: Picture
    face: Faces
    made: float
    moved: float


class ExpressionEditor:
    """Changes expressions in photos. One for all, as it takes a second to make."""

    def __init__(self, model: HeadModel) -> None:
        self.model = model
        self.canvas = Canvas(model, make_surface(model))
        rng = np.random.default_rng(0)
        skin = np.array([0.45, 0.27, 0.19], np.float32)
        bare = random_appearance(rng)._replace(
            brow=0.0, jaw_beard=0.0, chin_beard=0.0, moustache=0.0, mask=False, cover=0, hairline=1.0
        )
        look = bare._replace(
            skin=skin, lips=skin * np.array([0.8, 0.5, 0.5], np.float32), lashes=0.8, shadow=0.0, age=0.2
        )
        self.atlas = self.canvas.paint(look, rng)
        self.number = np.flatnonzero(self.canvas.surface.kind != WRAP)  # what moves
        self.triangles = model.triangles[self.number]
        self.moving = np.unique(self.triangles)
        names = np.array(model.region_names)[model.region][self.triangles]
        self.lid = (names == "lids").sum(1) >= 2
        self.lip = (names == "lips").all(1)
        self.plain = (names == "face").all(1)
        self.side = model.mean[self.triangles, 0].mean(1) > 0  # the subject's left

    def edit(self, picture: Picture, face: Faces, expression: Floats) -> Edit:
        """picture: (H, W, 3) uint8 RGB; face: one fitted row; expression: (1, 51), the new one."""
        import cv2

        before, after = (self.model.vertices(face.identity, e)[0] for e in (face.expression, expression))
        p, q = (project(v, face.rotation[0], face.scale[0], face.center[0]) for v in (before, after))
        x1, y1, x2, y2 = self._window(p, q, picture, float(face.scale[0]))
        part = picture[y1:y2, x1:x2]
        p[:, :2] -= (x1, y1)
        q[:, :2] -= (x1, y1)
        moved = face.replace(expression=expression)
        height, width = part.shape[:2]
        pixel, triangle, share, _ = draw_front(corners(q, self.triangles), height, width)
        if not len(pixel):
            return Edit(picture.copy(), moved, 1.0, 0.0)
        source = between(p, self.triangles[triangle], share)
        away = source[:, :2] - np.stack([pixel % width + 0.5, pixel // width + 0.5], 1)
        seen = _seen(p, self.triangles, source, part.shape, float(face.scale[0]))
        made = self._unseen(seen, triangle, before, face.expression[0], expression[0])
        field = _spread(away, pixel, (height, width), FADE_M * float(face.scale[0]))
        grid = np.mgrid[0:height, 0:width][::-1].transpose(1, 2, 0).astype(np.float32)
        linear = _LINEAR[cv2.remap(part, grid + field, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)]  # type: ignore[call-overload]
        shade = np.ones((height, width), np.float32)
        light = self._shading(part, before, after, p, face)
        shade.ravel()[pixel] = between(light[:, None], self.triangles[triangle], share)[:, 0]
        linear *= cv2.GaussianBlur(shade, (0, 0), 0.8)[..., None]
        if made.any():
            painted = self.painted(linear, after, face, (pixel, triangle, share, made))
            mask = np.zeros((height, width), np.float32)
            mask.ravel()[pixel] = made
            linear += (painted - linear) * cv2.GaussianBlur(mask, (0, 0), 0.6)[..., None]
        result = picture.copy()
        result[y1:y2, x1:x2] = _BYTES[np.clip(linear * 4095, 0, 4095).astype(np.int32)]
        return Edit(result, moved, float(made.mean()), float(np.linalg.norm(away, axis=1).mean()))

    def _window(self, p: Floats, q: Floats, picture: Picture, scale: float) -> tuple[int, int, int, int]:
        """Bounds of what may change, px: the face before and after, and where the motion fades."""
        both = np.concatenate([p[self.moving], q[self.moving]])[:, :2]
        margin = FADE_M * scale + 3
        low = np.floor(both.min(0) - margin).astype(int).clip(0, np.array(picture.shape[1::-1]) - 2)
        high = np.ceil(both.max(0) + margin).astype(int).clip(low + 1, picture.shape[1::-1])
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def _unseen(self, seen: NDArray[np.bool_], triangle: NDArray, before: Floats, old: Floats, new: Floats) -> Floats:
        """(F,) how much of each px must be painted."""
        kind = self.canvas.surface.kind[self.number[triangle]]
        made = np.where(seen, 0.0, 1.0).astype(np.float32)
        lips = self.model.points(before, "ibug68")
        mouth = kind == MOUTH_PART
        if np.linalg.norm(lips[66] - lips[62]) < OPEN_M:
            made[mouth] = 1
        elif made[mouth].sum() > MOST_NEW * mouth.sum():
            made[:] = 1  # half of an open mouth's inside from the photo and half painted never looks right
        else:
            made[mouth] = 0
        for side, left in (("Left", True), ("Right", False)):
            blink = EXPRESSION_NAMES.index(f"eyeBlink{side}")
            closes = float(np.clip((new[blink] - old[blink]) * 2.5, 0, 0.85))
            there = self.lid[triangle] & (self.side[triangle] == left)
            made[there] = np.maximum(made[there], closes)
        return made

    def painted(self, linear: Floats, after: Floats, face: Faces, at: tuple) -> Floats:
        """(H, W, 3) the model's own colours in the photo's light: skin by what is about it, lips and mouth as a whole."""
        import cv2

        pixel, triangle, share, made = at
        surface = self.canvas.surface
        rotation = face.rotation[0]
        diffuse, _ = arrive(self.canvas, vertex_normals(after, self.model.triangles), rotation, LIGHT_FROM_ABOVE)
        lit = np.maximum(between(diffuse, self.triangles[triangle], share), 0.45)
        lit[surface.kind[self.number[triangle]] == MOUTH_PART] *= 0.7
        corner = surface.corner[self.number].reshape(-1, 2)
        place = between(corner, triangle[:, None] * 3 + np.arange(3), share).astype(int)
        colour = self.atlas[place[:, 1].clip(0, 255), place[:, 0]] * lit
        kind = surface.kind[self.number[triangle]]
        photo = linear.reshape(-1, 3)[pixel]
        sure = (made < 0.05) & self.plain[triangle] & (kind == SKIN)
        fields = np.zeros((2, *linear.shape[:2], 3), np.float32)
        fields[0].reshape(-1, 3)[pixel[sure]], fields[1].reshape(-1, 3)[pixel[sure]] = photo[sure], colour[sure]
        size = max(int(0.036 * float(face.scale[0])) | 1, 3)
        wide = [cv2.blur(cv2.blur(f, (size, size)), (size, size)) for f in fields]
        whole = photo[sure].mean(0) / np.maximum(colour[sure].mean(0), 1e-4) if sure.any() else np.ones(3)
        ratio = (wide[0] + 1e-4 * whole) / (wide[1] + 1e-4)
        painted = colour * ratio.reshape(-1, 3)[pixel]
        lip = self.lip[triangle]
        known = lip & (made < 0.05)
        if known.any():
            painted[lip] = colour[lip] * (photo[known].mean(0) / np.maximum(colour[known].mean(0), 1e-4))
        inner = (kind == MOUTH_PART) | (kind == EYEBALL)
        tooth = (kind == MOUTH_PART) & (place[:, 0] > TEETH_FROM)
        dark = np.where(tooth, 1.25, np.where(kind == MOUTH_PART, 0.5, 0.8))[inner, None]
        painted[inner] = colour[inner] * dark * float(np.clip(whole.mean(), 0.1, 2.0))
        out = linear.copy()
        out.reshape(-1, 3)[pixel] = painted
        return out

    def _shading(self, picture: Picture, before: Floats, after: Floats, points: Floats, face: Faces) -> Floats:
        """(V,) how much lighter the surface becomes by turning: light = a + b . normal, fitted to the photo."""
        normal = vertex_normals(before, self.model.triangles)
        turned = vertex_normals(after, self.model.triangles)
        skin = self.model.region_mask("face") & ((normal @ face.rotation[0][2]) < -0.3)
        x, y = (points[skin, k].astype(int) for k in range(2))
        inside = (x >= 0) & (y >= 0) & (x < picture.shape[1]) & (y < picture.shape[0])
        if inside.sum() < 30:
            return np.ones(len(before), np.float32)
        value = (picture[y[inside], x[inside]].astype(np.float32).mean(1) / 255) ** 2.2
        rows = np.concatenate([np.ones((int(inside.sum()), 1)), normal[skin][inside]], 1)
        damped = rows.T @ rows + np.diag([0.0, 1, 1, 1]) * 0.02 * len(rows)
        fit = np.linalg.solve(damped, rows.T @ value)
        was, now = (np.maximum(fit[0] + n @ fit[1:], 0.25 * abs(fit[0]) + 1e-3) for n in (normal, turned))
        change = np.clip(now / was, 0.7, 1.35)
        change[self.canvas.surface.eye_part | self.canvas.surface.mouth_part] = 1
        return change.astype(np.float32)


def _seen(p: Floats, triangles: NDArray, source: Floats, shape: tuple[int, ...], scale: float) -> NDArray[np.bool_]:
    """(F,) whether the photo shows the places `source` (F, 3) px of the face whose points are p (V, 3)."""
    depth = draw_front(corners(p, triangles), shape[0], shape[1]).depth
    x, y = source[:, 0].astype(int).clip(0, shape[1] - 1), source[:, 1].astype(int).clip(0, shape[0] - 1)
    return np.asarray(source[:, 2] < depth[y, x] + HIDDEN_M * scale)


def _spread(away: Floats, pixel: NDArray, shape: tuple[int, int], fade: float) -> Floats:
    """Motion (F, 2) of the face's px to all px (H, W, 2): outside, that of the nearest, less with distance."""
    import cv2

    inside = np.zeros(shape, bool)
    inside.ravel()[pixel] = True
    field = np.zeros((*shape, 2), np.float32)
    field.reshape(-1, 2)[pixel] = away
    distance, label = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros((label.max() + 1, 2), np.float32)
    of_label[label.ravel()[pixel]] = away
    left = np.clip(1 - distance / fade, 0, 1)
    spread = of_label[label] * (left * left * (3 - 2 * left))[..., None]
    return np.where(inside[..., None], field, cv2.GaussianBlur(np.where(inside[..., None], field, spread), (0, 0), 2.0))


_LINEAR = ((np.arange(256) / 255) ** 2.2).astype(np.float32)
_BYTES = np.clip(255 * (np.arange(4096) / 4095) ** (1 / 2.2) + 0.5, 0, 255).astype(np.uint8)
