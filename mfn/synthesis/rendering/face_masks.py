"""Masks of skin, brows, lids, lips, folds and beard on the face's page of the atlas. Letters: H and W height and width of a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.head_model import HeadModel
from mfn.synthesis.rendering.atlas import PAGE_PX, HeadAtlas

Floats = NDArray[np.floating]

#: MediaPipe's points along the edges of the upper and the lower lids, from the outer to the inner corner.
UPPER_LIDS = ((33, 246, 161, 160, 159, 158, 157, 173, 133), (263, 466, 388, 387, 386, 385, 384, 398, 362))
LOWER_LIDS = ((33, 7, 163, 144, 145, 153, 154, 155, 133), (263, 249, 390, 373, 374, 380, 381, 382, 362))

# Height of the average hairline by depth, meters, head frame: nape, behind the ear, sideburn, temple, forehead.
_HAIRLINE_Z = (-0.16, -0.10, -0.07, -0.052, -0.04, 0.0, 0.05)
_HAIRLINE_Y = (-0.075, -0.06, -0.03, -0.005, 0.02, 0.045, 0.066)
_WHOLE_PAGE = ("cheeks", "mask")  # masks that are not cropped


class Mask(NamedTuple):
    """A mask of a page, cropped.

    Attributes:
        window: rows and columns of the page that the mask covers.
        values: share in [0, 1] inside the window; for the brow: distance from its middle line in half widths.
    """

    window: tuple[slice, slice]
    values: Floats


def crop_mask(values: Floats, name: str) -> Mask:
    """Crop a mask (H, W) to the rectangle that is not empty."""
    if name in _WHOLE_PAGE:
        return Mask((slice(None), slice(None)), values)
    used = values < 2 if name == "brow" else values > 0.01
    rows, columns = np.flatnonzero(used.any(1)), np.flatnonzero(used.any(0))
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return Mask(window, np.ascontiguousarray(values[window]))


def hair_height(point: Floats) -> Floats:
    """Height (...) of places (..., 3) on the mean head above the average hairline, meters."""
    return (point[..., 1] - np.interp(point[..., 2], _HAIRLINE_Z, _HAIRLINE_Y)).astype(np.float32)


def make_face_masks(atlas: HeadAtlas, model: HeadModel) -> dict[str, Mask]:
    """Make the masks of the face's page, by name."""
    face = _FacePage(atlas, model)
    masks = {"lips": face.region("lips"), "nostrils": face.region("nostrils"), "ears": face.region("ears")}
    _add_eyes(masks, face)
    _add_cheeks_and_brows(masks, face)
    _add_lines(masks, face)
    _add_beard(masks, face)
    low = np.clip((face.landmarks[28, 1] - 0.004 - 2.2 * face.point[..., 0] ** 2 - face.y) / 0.002, 0, 1)
    masks["mask"] = low * np.clip((face.point[..., 2] + 0.06) / 0.003, 0, 1)
    return {name: crop_mask(values.astype(np.float32), name) for name, values in masks.items()}


class _FacePage:
    """The face's page as places on the mean head, with helpers that make soft shapes on it."""

    def __init__(self, atlas: HeadAtlas, model: HeadModel) -> None:
        self.model = model
        self.point = atlas.point[:, :PAGE_PX]  # (H, W, 3) meters
        self.y = self.point[..., 1]
        self.opening_px = atlas.opening_px[:, :PAGE_PX]
        self._region = atlas.region[:, :PAGE_PX]
        self.landmarks = model.landmark_basis("ibug68")[0]
        self.eyes = self.landmarks[36:42].mean(0), self.landmarks[42:48].mean(0)

    def blob(self, center: Floats, size_m: float) -> Floats:
        """A Gaussian (H, W) around a place (3,)."""
        return np.asarray(np.exp(-((self.point - center) ** 2).sum(-1) / (2 * size_m**2)))

    def region(self, name: str) -> Floats:
        """A region of the model with soft edges, (H, W)."""
        import cv2

        index = self.model.region_names.index(name)
        blurred = cv2.GaussianBlur((self._region == index).astype(np.float32), (0, 0), 2.2)
        return np.asarray(np.clip((blurred - 0.3) / 0.4, 0, 1))

    def line(self, line: Floats) -> tuple[Floats, Floats]:
        """Distance (H, W), meters, to a line of points (K, 3), and place of the nearest point along it, 0 to 1."""
        point = self.point
        best, along = np.full(point.shape[:-1], np.inf, np.float32), np.zeros(point.shape[:-1], np.float32)
        for k, (a, b) in enumerate(zip(line[:-1], line[1:])):
            t = np.clip((point - a) @ (b - a) / max(float((b - a) @ (b - a)), 1e-9), 0, 1)
            distance = np.linalg.norm(point - (a + t[..., None] * (b - a)), axis=-1)
            nearer = distance < best
            best, along = np.where(nearer, distance, best), np.where(nearer, (k + t) / (len(line) - 1), along)
        return best, along

    def lid_distance(self, lines: Sequence[Sequence[int]]) -> Floats:
        """Distance (H, W), meters, to the nearer one of two lids' edges, given as lines of MediaPipe's points."""
        points = self.model.landmark_basis("mediapipe478")[0]
        return np.minimum(*(self.line(points[list(line)])[0] for line in lines))


def _add_eyes(masks: dict[str, Floats], face: _FacePage) -> None:
    """Add lashes, lid edges, eye shadow, the line between the lips and the shadow under the eyes."""
    landmarks, eyes = face.landmarks, face.eyes
    above = np.clip((face.y - landmarks[[36, 39, 42, 45], 1].mean() + 0.0005) / 0.002, 0, 1)
    upper, lower = face.lid_distance(UPPER_LIDS), face.lid_distance(LOWER_LIDS)
    upper_lash, lower_lash = np.clip((0.0019 - upper) / 0.0007, 0, 1), np.clip((0.0011 - lower) / 0.0006, 0, 1)
    masks["lash"] = np.maximum(upper_lash, 0.35 * lower_lash)
    masks["lid_edge"] = np.clip((0.0016 - lower) / 0.0008, 0, 1)
    masks["lid"] = np.maximum(*(face.blob(eye + [0, 0.006, 0], 0.010) for eye in eyes)) * above
    seam = np.minimum(*(face.line(landmarks[rows])[0] for rows in ([60, 61, 62, 63, 64], [60, 67, 66, 65, 64])))
    between_lips = np.maximum(np.exp(-((seam / 0.0011) ** 2)), face.opening_px < 3.0)
    masks["lip_seam"] = np.where(masks["lips"] > 0.3, between_lips, 0)
    masks["under_eye"] = np.maximum(*(face.blob(eye + [0, -0.010, 0.0], 0.008) for eye in eyes)) * (1 - above)


def _add_cheeks_and_brows(masks: dict[str, Floats], face: _FacePage) -> None:
    """Add cheeks, redness and the brows' distance field."""
    landmarks, eyes = face.landmarks, face.eyes
    centers = [landmarks[k] * 0.4 + eye * 0.3 + landmarks[30] * 0.3 for k, eye in ((3, eyes[0]), (13, eyes[1]))]
    cheeks = face.blob(centers[0], 0.022) + face.blob(centers[1], 0.022) + face.blob(landmarks[29], 0.02)
    masks["cheeks"] = np.clip(cheeks, 0, 1)
    nose = face.blob(landmarks[30], 0.012)
    masks["red"] = np.clip(0.6 * masks["cheeks"] + 0.8 * nose + 0.6 * masks["ears"], 0, 1)
    brows = [face.line(landmarks[rows] - [0, 0.0025, 0]) for rows in (slice(17, 22), slice(26, 21, -1))]
    half_width = (0.0015, 0.004, 0.005, 0.0042)  # meters, along the brow from its outer to its inner end
    masks["brow"] = np.minimum(*(d / np.interp(along, (0, 0.3, 0.8, 1), half_width) for d, along in brows))


def _add_lines(masks: dict[str, Floats], face: _FacePage) -> None:
    """Add the folds beside the mouth and the lines on the forehead."""
    landmarks = face.landmarks
    folds = []
    for nostril, corner, side in ((31, 48, -1), (35, 54, 1)):
        beside = landmarks[corner] + [side * 0.011, 0.004, 0], landmarks[corner] + [side * 0.012, -0.012, 0]
        folds.append(face.line(np.stack([landmarks[nostril], *beside]))[0])
    masks["folds"] = np.maximum(*(np.exp(-((distance / 0.0022) ** 2)) for distance in folds))
    forehead = face.blob((landmarks[21] + landmarks[22]) / 2 + [0, 0.025, 0], 0.02)
    masks["lines"] = forehead * np.clip(np.sin(face.y * 800) * 2 - 1, 0, 1)


def _add_beard(masks: dict[str, Floats], face: _FacePage) -> None:
    """Add the three parts of a beard: along the jaw, on the chin, above the mouth."""
    landmarks, off_center = face.landmarks, np.abs(face.point[..., 0])
    jaw = np.minimum(*(face.line(landmarks[rows])[0] for rows in (slice(1, 9), slice(8, 16))))
    below_nose = (landmarks[33, 1] + 0.012 - 0.25 * off_center - face.y) / 0.02
    below = np.clip(below_nose + off_center / 0.07 - 0.4, 0, 1)
    skin = 1 - np.clip(masks["lips"] * 1.5, 0, 1)
    masks["jaw"] = np.clip((0.03 - jaw) / 0.018, 0, 1) * below * skin * (1 - masks["ears"])
    masks["chin"] = np.clip(1.6 * face.blob(landmarks[8] + [0, 0.008, 0], 0.016), 0, 1) * skin
    lip = face.line(landmarks[[48, 50, 51, 52, 54]] * 0.45 + landmarks[[31, 32, 33, 34, 35]] * 0.55)[0]
    masks["moustache"] = np.clip((0.009 - lip) / 0.004, 0, 1) * skin * (1 - masks["nostrils"])
