"""Crops of one face that differ a little: the mean of what the readers read in them has a smaller error than one reading.

This is test-time augmentation. In frames of clips the readers run a batch of fixed size, K crops. If there are few likely faces, the
rest of the batch reads them again, which takes no more time (`crops_of_each` in mfn/inference/readers/face_reader.py).

Source: Krizhevsky, Sutskever and Hinton, NIPS 2012, section 4.1: the mean of ten crops, five of them mirrored.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class CropChange(NamedTuple):
    """How a crop differs from the one that is centered on the face.

    Attributes:
        x, y: How far the picture is moved right and down in the crop, relative to the side of the crop.
        zoom: How much larger the picture is in the crop, about its middle.
        mirrored: Whether the crop is flipped left to right after that.
    """

    x: float = 0.0
    y: float = 0.0
    zoom: float = 1.0
    mirrored: bool = False

    def apply(self, matrices: NDArray[np.float64], size_px: int) -> NDArray[np.float64]:
        """Return the maps of the changed crops, without the mirroring.

        Args:
            matrices: (N, 2, 3) affine maps from px of the picture to px of the crop.
            size_px: Side of a crop.
        """
        middle = np.array([0.0, 0.0, size_px / 2])
        changed = np.asarray((matrices - middle) * self.zoom + middle, np.float64)
        changed[:, :, 2] += size_px * np.array([self.x, self.y])
        return changed


_MOVE, _SMALLER, _LARGER = 0.025, 0.95, 1.05
_PLACES = (
    CropChange(_MOVE, _MOVE, _SMALLER),
    CropChange(-_MOVE, -_MOVE, _SMALLER),
    CropChange(_MOVE, -_MOVE, _LARGER),
    CropChange(-_MOVE, _MOVE, _LARGER),
)
_PLAIN = CropChange()

FACE_CHANGES: dict[int, tuple[CropChange, ...]] = {
    1: (_PLAIN,),
    2: (_PLAIN, _PLAIN._replace(mirrored=True)),
    4: tuple(place._replace(mirrored=mirrored) for place, mirrored in zip(_PLACES, (False, True, True, False), strict=True)),
    8: tuple(place._replace(mirrored=mirrored) for place in _PLACES for mirrored in (False, True)),
}
"""The crops of a face, by their number."""
EYE_CHANGES: dict[int, tuple[CropChange, ...]] = {1: (_PLAIN,), 2: (_PLACES[0], _PLACES[3]), 4: _PLACES}
"""The crops of an eye, by their number. They are not mirrored: the crops of all eyes show a left eye."""


def most_that_fit(numbers: Collection[int], faces: int, batch: int) -> int:
    """Return the largest of several numbers of crops a face with which all faces fit in a batch of crops, or the smallest number.

    Without faces it is the smallest number, too.
    """
    smallest = min(numbers)
    return max((number for number in numbers if number * faces <= batch), default=smallest) if faces else smallest
