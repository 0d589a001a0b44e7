"""Crops of single faces for the single-face networks: rotated, mirrored, shifted and scaled around the box, partly occluded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mfn.structures.cells import PARAMETER_FIELDS
from mfn.structures.crop_geometry import CROP_SIZE, crop_face, crop_windows
from mfn.structures.faces import Faces
from mfn.structures.flip import hflip_faces, hflip_picture
from mfn.structures.head_model import HeadModel
from mfn.training.data.augment import jitter_patch, jitter_scene, lower_resolution, occlude
from mfn.training.data.batch import CropBatch
from mfn.training.data.sampling import expression_weights
from mfn.training.data.warp import similarity_matrix
from mfn.training.packs.reader import Pack
from retarget.io.images import Image

MIN_FACE_PX = 28.0  # longer side; a smaller face shows too little
ROTATION_STD_RAD = 0.21
SHIFT_STD = 0.05  # relative to the side of the crop
SCALE_LOG_STD = 0.09
WIDE_ROTATION_SHARE, WIDE_ROTATION_RAD = 0.2, 0.8
BACKGROUND_SHARE = 0.6  # how often a photo, not black, surrounds the picture: a black border would show where the face is
OCCLUDED_SHARE = 0.25
SPEED_STD, ROTATION_SPEED_RAD = 0.25, 0.06  # motion between two frames of one face, relative to the ranges above, and its rotation


class _Motion(NamedTuple):
    """How a crop differs from the face's own window.

    Attributes:
        angle: Rotation in radians, clockwise as seen.
        state: (3,) shift in x and y, and scale, in standard deviations.
    """

    angle: float
    state: NDArray[np.float64]


def is_usable(pack: Pack) -> NDArray[np.bool_]:
    """Tell which faces (M,) of a pack have labels and are large enough for a crop."""
    return np.asarray(pack.has_labels & ((pack.faces.box[:, 2:] - pack.faces.box[:, :2]).max(1) >= MIN_FACE_PX))


class CropMaker:
    """Draw crops of the labeled faces of packs.

    Args:
        packs: The packs.
        weights: How often each pack is drawn, relative to the others.
        backgrounds: Photos (H, W, 3) uint8 RGB without faces.
        model: Computes the boxes of faces.
        frames: Number of crops in a row that show one face as it moves in the plane of the picture; 1 for independent crops.

    Raises:
        ValueError: No labeled face that is large enough.
    """

    def __init__(
        self, packs: Sequence[Pack], weights: Sequence[float], backgrounds: Sequence[Image], model: HeadModel, frames: int = 1
    ) -> None:
        self.packs, self.backgrounds, self.frames = packs, backgrounds, frames
        self.identity_mirror, self.box_of = model.identity_mirror, model.boxes
        self.rows = [np.flatnonzero(is_usable(p)) for p in packs]
        usable = np.array([len(rows) > 0 for rows in self.rows])
        if not usable.any():
            raise ValueError(
                f"expected packs with labeled faces of at least {MIN_FACE_PX:.0f} px, got none; make labels with experiments/labels/fit.py"
            )
        self.pack_shares = np.asarray(weights, float) * usable / (np.asarray(weights, float) * usable).sum()
        self.cumulative_weights = [np.cumsum(expression_weights(p.faces.expression[r])) for p, r in zip(packs, self.rows, strict=True)]

    def batch(self, size: int, rng: np.random.Generator) -> CropBatch:
        """Draw `size` crops and their targets."""
        pictures: list[Image] = []
        rows: list[Faces] = []
        while len(pictures) < size:
            for picture, face in self._draw(rng):
                pictures.append(picture)
                rows.append(face)
        faces = Faces.concatenate(rows[:size])
        crops = torch.from_numpy(np.stack(pictures[:size]).transpose(0, 3, 1, 2).copy())
        return crops, {name: torch.tensor(getattr(faces, name)) for name in PARAMETER_FIELDS}

    def _draw(self, rng: np.random.Generator) -> Iterator[tuple[Image, Faces]]:
        """Draw a face and yield its crops, one for each frame."""
        number = int(rng.choice(len(self.packs), p=self.pack_shares))
        pack, weights = self.packs[number], self.cumulative_weights[number]
        face = pack.faces[[self.rows[number][np.searchsorted(weights, rng.random() * weights[-1])]]]
        picture = pack.pictures[int(face.image[0])]
        if rng.random() < 0.5:
            face = hflip_faces(face, picture.shape[1], self.identity_mirror)
            picture = hflip_picture(picture)
        wide = rng.random() < WIDE_ROTATION_SHARE
        angle = rng.uniform(-WIDE_ROTATION_RAD, WIDE_ROTATION_RAD) if wide else rng.normal(0, ROTATION_STD_RAD)
        state = rng.normal(0, 1, 3)
        speed = rng.normal(0, SPEED_STD, 4)
        picture = jitter_patch(picture, rng) if self.frames > 1 else picture  # the light is the same in all frames
        for _ in range(self.frames):
            yield self._crop(picture, face, _Motion(angle, state), rng)
            state, angle = state + speed[:3], angle + ROTATION_SPEED_RAD * speed[3]

    def _crop(self, picture: Image, face: Faces, motion: _Motion, rng: np.random.Generator) -> tuple[Image, Faces]:
        """Cut one crop, near the window that `crop_windows` would choose for the rotated face.

        Returns:
            The crop, and the face in px of the crop.
        """
        rotated = rotate_faces(face, motion.angle)
        window = crop_windows(self.box_of(rotated))[0]
        side = window[2] * np.exp(SCALE_LOG_STD * motion.state[2])
        middle = window[:2] + SHIFT_STD * motion.state[:2] * side
        scale = CROP_SIZE / side
        pivot = face.center[0].astype(float)
        matrix = similarity_matrix(scale, motion.angle, pivot, scale * (pivot - middle) + CROP_SIZE / 2, False, 0)
        crop = crop_face(picture, matrix, self._background(rng) if rng.random() < BACKGROUND_SHARE else None)
        crop = jitter_patch(crop, rng) if self.frames == 1 else crop
        if rng.random() < OCCLUDED_SHARE:
            occlude(crop, self._background(rng), rng)
        crop = jitter_scene(lower_resolution(crop, rng), rng)
        center = (rotated.center - middle) * scale + CROP_SIZE / 2
        return crop, rotated.replace(center=center.astype(np.float32), scale=rotated.scale * np.float32(scale))

    def _background(self, rng: np.random.Generator) -> Image:
        """Cut a piece (CROP_SIZE, CROP_SIZE, 3) from a background photo."""
        import cv2

        photo = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        top, left = (int(rng.integers(max(side - CROP_SIZE, 1))) for side in photo.shape[:2])
        piece = photo[top : top + CROP_SIZE, left : left + CROP_SIZE]
        if piece.shape[:2] == (CROP_SIZE, CROP_SIZE):
            return np.array(piece)
        return np.asarray(cv2.resize(piece, (CROP_SIZE, CROP_SIZE)))


def rotate_faces(faces: Faces, angle: float) -> Faces:
    """Return faces whose picture was rotated about their own centers.

    Args:
        faces: N faces.
        angle: Radians, clockwise as seen.
    """
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
    return faces.replace(rotation=rotation @ faces.rotation)
