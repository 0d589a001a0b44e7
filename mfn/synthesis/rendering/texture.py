"""Painting of a person's skin, brows, lips, lashes, eyes, hair and mouth on the head's atlas (`mfn.synthesis.rendering.atlas`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfn.structures.head_model import HeadModel
from mfn.synthesis.appearance import Appearance
from mfn.synthesis.rendering.atlas import EYE_PX, EYE_SPAN_M, MOUTH_COLUMNS, MOUTH_PX, PAGE_PX, HeadAtlas
from mfn.synthesis.rendering.face_masks import crop_mask, hair_height, make_face_masks

Floats = NDArray[np.floating]

_TEETH_GAP_M = 0.0072  # width of a tooth
_MOUTH_SPAN_M = 0.08  # width of the mouth's page
_COLLAR_BELOW_CHIN_M = 0.055


class HeadPainter:
    """Paints people on the atlas.

    Masks and noise are computed once, in the constructor; `paint` then takes a few milliseconds.
    """

    def __init__(self, model: HeadModel, atlas: HeadAtlas, seed: int = 0) -> None:
        """Prepare the masks.

        Args:
            model: the head model that the atlas was built from.
            atlas: where its surface lies.
            seed: of the noise fields.
        """
        rng = np.random.default_rng(seed)
        shape = atlas.opening_px.shape
        self.model, self.atlas = model, atlas
        self.noise = [_noise(shape, (size, size), rng) for size in (0.7, 2.0, 7.0)]  # fine, medium, coarse
        self.strands = _noise(shape, (0.6, 6.0), rng)
        self.strand_shade = np.exp(0.35 * self.strands)
        self.patch_shade = np.exp(0.25 * self.noise[2])
        landmarks = model.landmark_basis("ibug68")[0]
        self.masks = make_face_masks(atlas, model)
        self.hair_height = hair_height(atlas.point[:, : 2 * PAGE_PX])
        self.hair_height[atlas.region[:, : 2 * PAGE_PX] == model.region_names.index("ears")] = -1.0
        collar = landmarks[8, 1] - _COLLAR_BELOW_CHIN_M - 0.4 * np.maximum(atlas.point[..., 2] + 0.06, 0)
        below = np.clip((collar - atlas.point[..., 1]) / 0.003, 0, 1)
        below[:, 2 * PAGE_PX :] = 0
        self.collar = crop_mask(below.astype(np.float32), "collar")
        self.eye = _eye_polar(model)

    def paint(self, appearance: Appearance, rng: np.random.Generator) -> Floats:
        """Paint a person.

        Args:
            appearance: the person's colors.
            rng: source of random numbers for what differs between two people with the same colors.

        Returns:
            (H, W, 3) float32 reflectance in [0, 1], linear.
        """
        fine, medium, coarse = (_rolled(field, rng) for field in self.noise)
        page = _shaded(appearance.skin, 1 + 0.035 * fine + 0.04 * medium + 0.06 * coarse)
        face = page[:, :PAGE_PX]
        self._paint_skin(face, appearance, medium[:, :PAGE_PX], coarse[:, :PAGE_PX])
        self._paint_features(face, appearance, rng)
        self._paint_hair(page[:, : 2 * PAGE_PX], appearance, rng)
        _blend(page[self.collar.window], self.collar.values, appearance.shirt)
        if appearance.mask:
            cloth = 0.25 + 0.7 * appearance.cloth
            seams = 1 - 0.1 * (np.sin(self.atlas.point[:, :PAGE_PX, 1] * 700) > 0.6)
            _blend(face, self.masks["mask"].values, _shaded(cloth, seams))
            page[:MOUTH_PX, 2 * PAGE_PX + EYE_PX :] = cloth
        page[:EYE_PX, 2 * PAGE_PX : 2 * PAGE_PX + EYE_PX] = _paint_eye(self.eye, appearance, rng)
        if not appearance.mask:
            page[:MOUTH_PX, 2 * PAGE_PX + EYE_PX :] = _paint_mouth(appearance, rng)
        return np.clip(page, 0.004, 1, out=page)

    def _paint_skin(self, face: Floats, appearance: Appearance, medium: Floats, coarse: Floats) -> None:
        """Add redness, shadows, wrinkles, freckles and beard to the face's page, in place."""

        def tint(name: str, color: tuple[float, float, float], amount: float) -> None:
            mask = self.masks[name]
            for channel, value in enumerate(color):
                face[mask.window][..., channel] *= 1 - mask.values * (amount * (1 - value))

        tint("red", (1.0, 0.62, 0.62), appearance.blush)
        tint("under_eye", (0.75, 0.66, 0.72), 0.2 + 0.8 * appearance.age)
        tint("lid", (0.6, 0.5, 0.5), appearance.eye_shadow)
        tint("folds", (0.72, 0.62, 0.6), 0.15 + 0.85 * appearance.age)
        tint("lines", (0.75, 0.66, 0.64), appearance.age)
        if appearance.freckles:
            spots = np.clip(medium - 1.2, 0, 1) * self.masks["cheeks"].values
            face *= 1 - appearance.freckles * 0.7 * spots[..., None] * np.array([0.5, 0.7, 0.8], np.float32)
        beard = {"jaw": appearance.jaw_beard, "chin": appearance.chin_beard, "moustache": appearance.moustache}
        color = appearance.hair * 0.7 + 0.06 * appearance.skin
        for name, amount in beard.items():
            mask = self.masks[name]
            if amount:
                strands = self.strands[:, :PAGE_PX][mask.window]
                grain = np.clip(0.55 + 0.5 * strands + 0.3 * coarse[mask.window], 0, 1)
                _blend(face[mask.window], np.clip(mask.values * amount * (0.35 + grain), 0, 0.96), color)

    def _paint_features(self, face: Floats, appearance: Appearance, rng: np.random.Generator) -> None:
        """Add lips, brows, nostrils, lid edges, lashes and the line between the lips to the face's page, in place."""
        skin, lips = appearance.skin, appearance.lips

        def blend(name: str, share: Floats, color: Floats) -> None:
            _blend(face[self.masks[name].window], share, color)

        mask = self.masks["lips"]
        blend("lips", mask.values, _shaded(lips, 1 + 0.12 * self.strands[:, :PAGE_PX][mask.window]))
        mask = self.masks["brow"]  # its values are distances from the brow's middle line, in half widths
        grain = 0.95 + 0.35 * _rolled(self.strands, rng)[:, :PAGE_PX][mask.window]
        brow = np.clip((appearance.brow_size - mask.values) * 2.2, 0, 1) * appearance.brow * grain
        blend("brow", np.clip(brow, 0, 0.95), appearance.hair * 0.6 + 0.03 * skin)
        blend("nostrils", self.masks["nostrils"].values * 0.8, skin * np.array([0.16, 0.07, 0.06], np.float32))
        blend("lid_edge", self.masks["lid_edge"].values * 0.7, skin * np.array([0.95, 0.6, 0.6], np.float32))
        lashes = np.clip(self.masks["lash"].values * (0.4 + 0.7 * appearance.lashes), 0, 1)
        blend("lash", lashes, np.array([0.012, 0.009, 0.008], np.float32))
        blend("lip_seam", self.masks["lip_seam"].values * 0.75, lips * np.array([0.25, 0.14, 0.14], np.float32))

    def _paint_hair(self, pages: Floats, appearance: Appearance, rng: np.random.Generator) -> None:
        """Add hair or a hat to the pages of face and scalp, in place."""
        roll = int(rng.integers(PAGE_PX))
        strands = np.roll(self.strands[:, : 2 * PAGE_PX], roll, 0)
        if appearance.cover != "none":
            covered = np.clip((self.hair_height + 0.004) / 0.0015, 0, 1)
            _blend(pages, covered, _shaded(appearance.cloth, 1 + 0.1 * strands))
            return
        height = self.hair_height - appearance.hairline_m
        ragged = float(rng.uniform(0, 0.01)) * _rolled(self.noise[2], rng)[:, : 2 * PAGE_PX]
        share = np.clip((height + 0.004 * strands + ragged) / 0.004, 0, 1)
        shade = np.roll(self.strand_shade[:, : 2 * PAGE_PX], roll, 0) * self.patch_shade[:, : 2 * PAGE_PX]
        _blend(pages, share, _shaded(appearance.hair, shade))


def _blend(image: Floats, share: Floats, color: Floats) -> None:
    """Blend a color (3,) or (H, W, 3) into `image` (H, W, 3), in place, by share (H, W) in [0, 1]."""
    import cv2

    share = share.astype(np.float32, copy=False)
    if color.ndim == 3:
        image[:] = cv2.blendLinear(image, color, 1 - share, share)
        return
    for channel, value in enumerate(color):  # channel by channel: NumPy is slow along an axis of three
        image[..., channel] += (value - image[..., channel]) * share


def _shaded(color: Floats, shade: Floats) -> Floats:
    """Multiply a color (3,) by a shade (H, W) to (H, W, 3)."""
    import cv2

    shade = shade.astype(np.float32, copy=False)
    return np.asarray(cv2.merge([shade * value for value in color.astype(np.float32, copy=False)]), np.float32)


def _rolled(field: Floats, rng: np.random.Generator) -> Floats:
    """Shift a field down by a random number of rows."""
    return np.roll(field, int(rng.integers(field.shape[0])), 0)


def _noise(shape: tuple[int, ...], sigma_px: tuple[float, float], rng: np.random.Generator) -> Floats:
    """Make smooth noise with standard deviation 1. sigma_px: of the smoothing, across and down."""
    import cv2

    field = cv2.GaussianBlur(rng.normal(size=shape).astype(np.float32), (0, 0), sigma_px[0], sigmaY=sigma_px[1])
    return np.asarray(field / field.std(), np.float32)


def _eye_polar(model: HeadModel) -> tuple[Floats, Floats]:
    """Distance from the pupil's center, meters, and angle, radians, of each pixel of the eye's page."""
    pupil = model.mean[model.region_mask("pupil") & (model.mean[:, 0] > 0)].mean(0)
    center_x = np.abs(model.mean[model.region_mask("eyeball_left"), 0]).mean()
    row, column = np.mgrid[0:EYE_PX, 0:EYE_PX] + 0.5
    x = (column / EYE_PX - 0.5) * EYE_SPAN_M + center_x - pupil[0]
    y = -(row / EYE_PX - 0.5) * EYE_SPAN_M - pupil[1]
    return np.hypot(x, y).astype(np.float32), np.arctan2(y, x).astype(np.float32)


def _paint_eye(polar: tuple[Floats, Floats], appearance: Appearance, rng: np.random.Generator) -> Floats:
    """Paint the eye's page: white, iris with its dark ring, pupil."""
    distance, angle = polar
    page = np.empty((EYE_PX, EYE_PX, 3), np.float32)
    page[:] = np.array([0.78, 0.72, 0.68]) * rng.uniform(0.5, 0.95)
    page *= 1 - np.clip((distance - 0.0085) / 0.008, 0, 1)[..., None] * np.array([0.25, 0.5, 0.5])
    iris, pupil = rng.uniform(0.0056, 0.0062), rng.uniform(0.0015, 0.0032)
    rays = 1 + 0.25 * np.sin(angle * rng.integers(11, 23) + rng.uniform(0, 6)) + 0.3 * (distance / iris - 0.6)
    _blend(page, np.clip((iris - distance) / 0.0006, 0, 1), _shaded(appearance.iris, np.clip(rays, 0.3, 2)))
    ring = np.exp(-(((distance - iris + 0.0004) / 0.0006) ** 2)) * 0.75
    _blend(page, ring, appearance.iris * 0.15)
    _blend(page, np.clip((pupil - distance) / 0.0004 + 0.5, 0, 1), np.full(3, 0.004, np.float32))
    return page


def _paint_mouth(appearance: Appearance, rng: np.random.Generator) -> Floats:
    """Paint the mouth's page: tongue to teeth from left to right, one side of the mouth to the other from top to bottom."""
    red = appearance.skin * 0.25 + np.array([0.16, 0.03, 0.03])
    tooth = np.array([0.72, 0.66, 0.54]) * rng.uniform(0.6, 1.1) * np.array([1, 1, rng.uniform(0.75, 1.05)])
    colors = {
        "tongue": red * 1.25 + [0.12, 0.02, 0.03],
        "mouth_inside": red * 0.45,
        "lips": appearance.lips * 0.9,
        "teeth": tooth,
    }
    stops = np.array([MOUTH_COLUMNS[name] for name in colors])
    across = (np.arange(MOUTH_PX) + 0.5) / MOUTH_PX
    line = np.stack([np.interp(across, stops, [c[k] for c in colors.values()]) for k in range(3)], 1)
    phase = across * _MOUTH_SPAN_M / _TEETH_GAP_M * 2 * np.pi
    gap = np.clip(np.cos(phase) * 4 - 3, 0, 1) * 0.5
    darker = 1 - gap[:, None, None] * (across > 0.8)[None, :, None]
    return np.asarray((line[None] * darker).astype(np.float32))
