"""Skin, brows, lips, lashes, eyes, hair and mouths painted on the head's atlas (`mfn.synthesis.atlas`), of a random person each time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfn.structures.head_model import HeadModel
from mfn.synthesis.appearance import Appearance
from mfn.synthesis.atlas import EYE, EYE_SPAN_M, MOUTH, PAGE, STRIP, Surface
from retarget.render.rasterizer import vertex_normals

Floats = NDArray[np.floating]
Where = tuple[slice, slice]

# The hairline's height over the origin by how far forward a place is, metres: nape, behind the ear, sideburn, temple, forehead.
_LINE_Z = (-0.16, -0.10, -0.07, -0.052, -0.04, 0.0, 0.05)
_LINE_Y = (-0.075, -0.06, -0.03, -0.005, 0.02, 0.045, 0.066)


# MediaPipe's points along the lids' edges, outer to inner corner.
UPPER_LIDS = ((33, 246, 161, 160, 159, 158, 157, 173, 133), (263, 466, 388, 387, 386, 385, 384, 398, 362))
LOWER_LIDS = ((33, 7, 163, 144, 145, 153, 154, 155, 133), (263, 249, 390, 373, 374, 380, 381, 382, 362))


class Canvas:
    """The atlas's fields that painting is made of: computed once for a head model, then `paint` makes a person in a few milliseconds."""

    def __init__(self, model: HeadModel, surface: Surface, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.model, self.surface = model, surface
        self.marks = model.landmark_basis("ibug68")[0]
        self.point = surface.point
        self.noise = [_noise(surface.hole.shape, size, rng) for size in (0.7, 2.0, 7.0)]
        self.strands = _noise(surface.hole.shape, (0.6, 6.0), rng)
        self.streaks = np.exp(0.35 * self.strands)
        self.patches = np.exp(0.25 * self.noise[2])
        self.fields = _face_fields(self.point[:, :PAGE], self.marks, model, surface)
        self.hair_height = hair_height(self.point[:, : 2 * PAGE])
        ears = surface.region[:, : 2 * PAGE] == model.region_names.index("ears")
        self.hair_height[ears] = -1.0
        collar = self.marks[8, 1] - 0.055 - 0.4 * np.maximum(self.point[..., 2] + 0.06, 0)
        below = np.clip((collar - self.point[..., 1]) / 0.003, 0, 1)
        below[:, 2 * PAGE :] = 0
        self.collar = _cut(below.astype(np.float32), "collar")
        self.eye = _eye_fields(model)
        self.normal = vertex_normals(model.mean, model.triangles)
        self.eyes = tuple(np.flatnonzero(model.region_mask(f"eyeball_{side}")) for side in ("left", "right"))

    def paint(self, look: Appearance, rng: np.random.Generator) -> Floats:
        """The person's colours without light: (H, W, 3) linear 0 to 1."""
        fine, medium, coarse = (_rolled(field, rng) for field in self.noise)
        tone = 1 + 0.035 * fine + 0.04 * medium + 0.06 * coarse
        page = _toned(look.skin, tone)
        face = page[:, :PAGE]
        self._paint_skin(face, look, medium[:, :PAGE], coarse[:, :PAGE])
        self._paint_features(face, look, rng)
        self._paint_hair(page[:, : 2 * PAGE], look, rng)
        where, collar = self.collar
        _lay(page[where], collar, look.shirt)
        if look.mask:
            worn, seam = self.fields["mask"][1], 1 - 0.1 * (np.sin(self.point[:, :PAGE, 1] * 700) > 0.6)
            _lay(face, worn, _toned(0.25 + 0.7 * look.cloth, seam))
            page[:MOUTH, 2 * PAGE + EYE :] = 0.25 + 0.7 * look.cloth
        page[:EYE, 2 * PAGE : 2 * PAGE + EYE] = _paint_eye(self.eye, look, rng)
        if not look.mask:
            page[:MOUTH, 2 * PAGE + EYE :] = _paint_mouth(look, rng)
        return np.clip(page, 0.004, 1, out=page)

    def _paint_skin(self, face: Floats, look: Appearance, medium: Floats, coarse: Floats) -> None:
        def tint(name: str, colour: tuple[float, float, float], amount: float) -> None:
            where, mask = self.fields[name]
            for channel, value in enumerate(colour):
                face[where][..., channel] *= 1 - mask * (amount * (1 - value))

        tint("red", (1.0, 0.62, 0.62), look.blush)
        tint("under_eye", (0.75, 0.66, 0.72), 0.2 + 0.8 * look.age)
        tint("lid", (0.6, 0.5, 0.5), look.shadow)
        tint("folds", (0.72, 0.62, 0.6), 0.15 + 0.85 * look.age)
        tint("lines", (0.75, 0.66, 0.64), look.age)
        if look.freckles:
            spots = np.clip(medium - 1.2, 0, 1) * self.fields["cheeks"][1]
            face *= 1 - look.freckles * 0.7 * spots[..., None] * np.array([0.5, 0.7, 0.8], np.float32)
        for name, amount in (("jaw", look.jaw_beard), ("chin", look.chin_beard), ("moustache", look.moustache)):
            where, mask = self.fields[name]
            if amount:
                grain = np.clip(0.55 + 0.5 * self.strands[:, :PAGE][where] + 0.3 * coarse[where], 0, 1)
                _lay(face[where], np.clip(mask * amount * (0.35 + grain), 0, 0.96), look.hair * 0.7 + 0.06 * look.skin)

    def _paint_features(self, face: Floats, look: Appearance, rng: np.random.Generator) -> None:
        where, mask = self.fields["lips"]
        _lay(face[where], mask, _toned(look.lips, 1 + 0.12 * self.strands[:, :PAGE][where]))
        where, mask = self.fields["brow"]  # distance from the brow's middle over its half width
        grain = 0.95 + 0.35 * _rolled(self.strands, rng)[:, :PAGE][where]
        brow = np.clip((look.brow_size - mask) * 2.2, 0, 1) * look.brow * grain
        _lay(face[where], np.clip(brow, 0, 0.95), look.hair * 0.6 + 0.03 * look.skin)
        where, mask = self.fields["nostrils"]
        _lay(face[where], mask * 0.8, look.skin * np.array([0.16, 0.07, 0.06], np.float32))
        where, mask = self.fields["rim"]
        _lay(face[where], mask * 0.7, look.skin * np.array([0.95, 0.6, 0.6], np.float32))
        where, mask = self.fields["lash"]
        _lay(face[where], np.clip(mask * (0.4 + 0.7 * look.lashes), 0, 1), np.array([0.012, 0.009, 0.008], np.float32))
        where, mask = self.fields["lip_seam"]
        _lay(face[where], mask * 0.75, look.lips * np.array([0.25, 0.14, 0.14], np.float32))

    def _paint_hair(self, pages: Floats, look: Appearance, rng: np.random.Generator) -> None:
        roll = int(rng.integers(PAGE))
        strands = np.roll(self.strands[:, : 2 * PAGE], roll, 0)
        height = self.hair_height - look.hairline
        if look.cover:
            _lay(pages, np.clip((self.hair_height + 0.004) / 0.0015, 0, 1), _toned(look.cloth, 1 + 0.1 * strands))
            return
        ragged = float(rng.uniform(0, 0.01)) * _rolled(self.noise[2], rng)[:, : 2 * PAGE]
        share = np.clip((height + 0.004 * strands + ragged) / 0.004, 0, 1)
        shade = np.roll(self.streaks[:, : 2 * PAGE], roll, 0) * self.patches[:, : 2 * PAGE]
        _lay(pages, share, _toned(look.hair, shade))


def hair_height(point: Floats) -> Floats:
    """Height (...) of places (..., 3) on the mean head over the usual hairline, metres."""
    return (point[..., 1] - np.interp(point[..., 2], _LINE_Z, _LINE_Y)).astype(np.float32)


def _lay(under: Floats, share: Floats, colour: Floats) -> None:
    """Colour (3,) or (H, W, 3) over `under` (H, W, 3), in place, by share (H, W)."""
    import cv2

    share = share.astype(np.float32, copy=False)
    if colour.ndim == 3:
        under[:] = cv2.blendLinear(under, colour, 1 - share, share)
        return
    for channel, value in enumerate(colour):  # as NumPy is slow along an axis of three
        under[..., channel] += (value - under[..., channel]) * share


def _toned(colour: Floats, shade: Floats) -> Floats:
    """A colour (3,) times a shade (H, W) -> (H, W, 3)."""
    import cv2

    shade = shade.astype(np.float32, copy=False)
    return cv2.merge([shade * value for value in colour.astype(np.float32, copy=False)])


def _rolled(field: Floats, rng: np.random.Generator) -> Floats:
    return np.roll(field, int(rng.integers(field.shape[0])), 0)


def _noise(shape: tuple[int, int], size: float | tuple[float, float], rng: np.random.Generator) -> Floats:
    import cv2

    across, down = size if isinstance(size, tuple) else (size, size)
    field = cv2.GaussianBlur(rng.normal(size=shape).astype(np.float32), (0, 0), across, sigmaY=down)
    return np.asarray(field / field.std(), np.float32)


def _line_distance(point: Floats, line: Floats) -> tuple[Floats, Floats]:
    """Distance (...) of points (..., 3) to a line of points (K, 3), and where along it, 0 to 1."""
    best, along = np.full(point.shape[:-1], np.inf, np.float32), np.zeros(point.shape[:-1], np.float32)
    for k, (a, b) in enumerate(zip(line[:-1], line[1:])):
        t = np.clip((point - a) @ (b - a) / max(float((b - a) @ (b - a)), 1e-9), 0, 1)
        away = np.linalg.norm(point - (a + t[..., None] * (b - a)), axis=-1)
        nearer = away < best
        best, along = np.where(nearer, away, best), np.where(nearer, (k + t) / (len(line) - 1), along)
    return best, along


def _face_fields(point: Floats, marks: Floats, model: HeadModel, surface: Surface) -> dict[str, tuple[Where, Floats]]:
    """Masks on the face's page by name, each cut to where it is not zero (the brow's: a distance, see `_paint_features`)."""

    def blob(at: Floats, size: float) -> Floats:
        return np.exp(-((point - at) ** 2).sum(-1) / (2 * size**2))

    def soft(*names: str) -> Floats:
        import cv2

        ids = [model.region_names.index(name) for name in names]
        blurred = cv2.GaussianBlur(np.isin(surface.region[:, :PAGE], ids).astype(np.float32), (0, 0), 2.2)
        return np.clip((blurred - 0.3) / 0.4, 0, 1)

    y, hole = point[..., 1], surface.hole[:, :PAGE]
    lips, eyes, lid_middle = soft("lips"), (marks[36:42].mean(0), marks[42:48].mean(0)), [0, -0.010, 0.0]
    upper = np.clip((y - marks[[36, 39, 42, 45], 1].mean() + 0.0005) / 0.002, 0, 1)
    fields = {"lips": lips, "nostrils": soft("nostrils"), "ears": soft("ears")}
    upper_lid, lower_lid = (_lids(point, model, lines) for lines in (UPPER_LIDS, LOWER_LIDS))
    fields["lash"] = np.maximum(
        np.clip((0.0019 - upper_lid) / 0.0007, 0, 1), 0.35 * np.clip((0.0011 - lower_lid) / 0.0006, 0, 1)
    )
    fields["rim"] = np.clip((0.0016 - lower_lid) / 0.0008, 0, 1)
    fields["lid"] = np.maximum(blob(eyes[0] + [0, 0.006, 0], 0.010), blob(eyes[1] + [0, 0.006, 0], 0.010)) * upper
    seam = np.minimum(*(_line_distance(point, marks[r])[0] for r in ([60, 61, 62, 63, 64], [60, 67, 66, 65, 64])))
    fields["lip_seam"] = np.where(lips > 0.3, np.maximum(np.exp(-((seam / 0.0011) ** 2)), hole < 3.0), 0)
    fields["under_eye"] = np.maximum(*(blob(e + lid_middle, 0.008) for e in eyes)) * (1 - upper)
    cheeks = [marks[k] * 0.4 + e * 0.3 + marks[30] * 0.3 for k, e in ((3, eyes[0]), (13, eyes[1]))]
    fields["cheeks"] = np.clip(blob(cheeks[0], 0.022) + blob(cheeks[1], 0.022) + blob(marks[29], 0.02), 0, 1)
    fields["red"] = np.clip(0.6 * fields["cheeks"] + 0.8 * blob(marks[30], 0.012) + 0.6 * fields["ears"], 0, 1)
    brow = [_line_distance(point, marks[r] - [0, 0.0025, 0]) for r in (slice(17, 22), slice(26, 21, -1))]
    ratio = [d / np.interp(t, (0, 0.3, 0.8, 1), (0.0015, 0.004, 0.005, 0.0042)) for d, t in brow]
    fields["brow"] = np.minimum(*ratio)
    fold = [_line_distance(point, np.stack([marks[n], marks[c] + [s * 0.011, 0.004, 0], marks[c] + [s * 0.012, -0.012, 0]]))
            for n, c, s in ((31, 48, -1), (35, 54, 1))]  # fmt: skip
    fields["folds"] = np.maximum(*(np.exp(-((d / 0.0022) ** 2)) for d, _ in fold))
    forehead = blob((marks[21] + marks[22]) / 2 + [0, 0.025, 0], 0.02)
    fields["lines"] = forehead * np.clip(np.sin(y * 800) * 2 - 1, 0, 1)
    jaw = np.minimum(*(_line_distance(point, marks[r])[0] for r in (slice(1, 9), slice(8, 16))))
    below = np.clip(
        (marks[33, 1] + 0.012 - 0.25 * np.abs(point[..., 0]) - y) / 0.02 + np.abs(point[..., 0]) / 0.07 - 0.4, 0, 1
    )
    skin = 1 - np.clip(lips * 1.5, 0, 1)
    fields["jaw"] = np.clip((0.03 - jaw) / 0.018, 0, 1) * below * skin * (1 - fields["ears"])
    fields["chin"] = np.clip(1.6 * blob(marks[8] + [0, 0.008, 0], 0.016), 0, 1) * skin
    lip = _line_distance(point, marks[[48, 50, 51, 52, 54]] * 0.45 + marks[[31, 32, 33, 34, 35]] * 0.55)[0]
    fields["moustache"] = np.clip((0.009 - lip) / 0.004, 0, 1) * skin * (1 - fields["nostrils"])
    low = np.clip((marks[28, 1] - 0.004 - 2.2 * point[..., 0] ** 2 - y) / 0.002, 0, 1)
    fields["mask"] = low * np.clip((point[..., 2] + 0.06) / 0.003, 0, 1)
    return {name: _cut(field.astype(np.float32), name) for name, field in fields.items()}


def _lids(point: Floats, model: HeadModel, lines: tuple[tuple[int, ...], ...]) -> Floats:
    """Metres (...) from the nearer of two lids' edges, given as lines of MediaPipe's points."""
    marks = model.landmark_basis("mediapipe478")[0]
    return np.minimum(*(_line_distance(point, marks[list(line)])[0] for line in lines))


def _cut(field: Floats, name: str) -> tuple[Where, Floats]:
    """The field's rectangle of not-zeros (of a distance: below 2); whole for those that are used whole."""
    if name in ("cheeks", "mask"):
        return (slice(None), slice(None)), field
    there = field < 2 if name == "brow" else field > 0.01
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    where = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return where, np.ascontiguousarray(field[where])


def _eye_fields(model: HeadModel) -> tuple[Floats, Floats]:
    """Distance from the pupil's middle, metres, and angle, on the eye's page."""
    pupil = model.mean[model.region_mask("pupil") & (model.mean[:, 0] > 0)].mean(0)
    centre = np.array([np.abs(model.mean[model.region_mask("eyeball_left"), 0]).mean(), 0.0])
    row, column = np.mgrid[0:EYE, 0:EYE] + 0.5
    x = (column / EYE - 0.5) * EYE_SPAN_M + centre[0] - pupil[0]
    y = -(row / EYE - 0.5) * EYE_SPAN_M + centre[1] - pupil[1]
    return np.hypot(x, y).astype(np.float32), np.arctan2(y, x).astype(np.float32)


def _paint_eye(fields: tuple[Floats, Floats], look: Appearance, rng: np.random.Generator) -> Floats:
    away, turn = fields
    page = np.empty((EYE, EYE, 3), np.float32)
    page[:] = np.array([0.78, 0.72, 0.68]) * rng.uniform(0.5, 0.95)
    page *= 1 - np.clip((away - 0.0085) / 0.008, 0, 1)[..., None] * np.array([0.25, 0.5, 0.5])
    iris, pupil = rng.uniform(0.0056, 0.0062), rng.uniform(0.0015, 0.0032)
    rays = 1 + 0.25 * np.sin(turn * rng.integers(11, 23) + rng.uniform(0, 6)) + 0.3 * (away / iris - 0.6)
    _lay(page, np.clip((iris - away) / 0.0006, 0, 1), _toned(look.iris, np.clip(rays, 0.3, 2)))
    ring = np.exp(-(((away - iris + 0.0004) / 0.0006) ** 2)) * 0.75
    _lay(page, ring, look.iris * 0.15)
    _lay(page, np.clip((pupil - away) / 0.0004 + 0.5, 0, 1), np.full(3, 0.004, np.float32))
    return page


def _paint_mouth(look: Appearance, rng: np.random.Generator) -> Floats:
    """A strip from tongue to teeth; down it, from one side of the mouth to the other, the gaps between the teeth."""
    red = look.skin * 0.25 + np.array([0.16, 0.03, 0.03])
    tooth = np.array([0.72, 0.66, 0.54]) * rng.uniform(0.6, 1.1) * np.array([1, 1, rng.uniform(0.75, 1.05)])
    colours = {
        "tongue": red * 1.25 + [0.12, 0.02, 0.03],
        "mouth_inside": red * 0.45,
        "lips": look.lips * 0.9,
        "teeth": tooth,
    }
    stops = np.array([STRIP[name] for name in colours])
    across = (np.arange(MOUTH) + 0.5) / MOUTH
    line = np.stack([np.interp(across, stops, [c[k] for c in colours.values()]) for k in range(3)], 1)
    gap = np.clip(np.cos((np.arange(MOUTH) + 0.5) / MOUTH * 0.08 / 0.0072 * 2 * np.pi) * 4 - 3, 0, 1) * 0.5
    darker = 1 - gap[:, None, None] * (across > 0.8)[None, :, None]
    return (line[None] * darker).astype(np.float32)
