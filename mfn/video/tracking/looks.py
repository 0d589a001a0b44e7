"""Describe how people look in a few numbers, and compare them, as log likelihood ratios. It tells people apart across a cut.

`experiments.video.looks` learns the file: a linear map of the samples of `look_samples` that separates people, and how much its numbers
vary for one person and between people.

Letters: N faces, T tracklets, D samples, K numbers.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.video.tracking.look_samples import SAMPLES, look_samples
from mfn.weights import weights_path
from retarget.io.images import Image

FORMAT = 1
LOOKS_FILE = weights_path("looks.npz")
LOOK_EVERY_S = 0.2
"""How often the looks of people in a clip are read, seconds. A shorter detection is no person (`pieces.MIN_SEEN_S`)."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Looks:
    """What describes and compares looks.

    Attributes:
        mean: (D,) of the samples.
        projection: (D, K) samples to numbers.
        within: (K,) variance of a number of one person from shot to shot.
        between: (K,) variance of a number between people.
        share: Factor of the log likelihood ratio, because the numbers are neither normal nor independent.
    """

    mean: Floats
    projection: Floats
    within: Floats
    between: Floats
    share: float

    @classmethod
    def load(cls, path: Path) -> Looks:
        """Read the file.

        Raises:
            ValueError: It is damaged, or of another version.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                data = {name: np.asarray(file[name], np.float64) for name in file.files}
            looks = cls(data["mean"], data["projection"], data["within"], data["between"], float(data["share"]))
            sizes = SAMPLES, len(looks.within)
            if int(data["format"]) != FORMAT or looks.projection.shape != sizes or looks.mean.shape != sizes[:1]:
                raise ValueError(f"expected format {FORMAT} and {sizes} numbers, got {int(data['format'])} and {looks.projection.shape}")
        except (KeyError, ValueError, OSError, EOFError, BadZipFile, zlib.error) as error:
            raise ValueError(f"{path}: not a file of looks ({error}); experiments.video.looks makes it") from error
        return looks

    @property
    def size(self) -> int:
        """How many numbers describe a face, K."""
        return len(self.within)

    def describe(self, image: Image, faces: Faces) -> NDArray[np.float32]:
        """Return the numbers (N, K) of the faces of a picture (H, W, 3) uint8 RGB; a row of NaN for a face outside of it."""
        return np.asarray((look_samples(image, faces) - self.mean) @ self.projection, np.float32)

    def ratio(self, one: Floats, other: Floats, shots: Floats, other_shots: Floats) -> Floats:
        """Compare people who were seen in different shots. All arrays are broadcast against each other.

        Args:
            one: (..., K) mean numbers; NaN where the looks are unknown.
            other: (..., K) the same of others.
            shots: (...) in how many shots the first were seen.
            other_shots: (...) the same of the others.

        Returns:
            (...) log likelihood ratio; 0 where the looks are unknown.
        """
        spread = 1 / np.asarray(shots) + 1 / np.asarray(other_shots)
        total = np.float64(0)
        for number, (within, between) in enumerate(zip(self.within, self.between, strict=True)):  # all at once would be too large
            same = within * spread
            differ = same + 2 * between
            squared = (one[..., number] - other[..., number]) ** 2
            total = total + 0.5 * (np.log(differ / same) - squared * (1 / same - 1 / differ))
        return np.asarray(np.nan_to_num(self.share * total, nan=0.0))


@lru_cache(maxsize=1)
def default_looks() -> Looks:
    """Return what ships with the package."""
    return Looks.load(LOOKS_FILE)


class LooksOfClip:
    """Looks at the people of a clip every few frames, while it is read."""

    def __init__(self, read: bool = True, known: Sequence[NDArray[np.float32]] = ()) -> None:
        """Go on after the faces that were looked at before: arrays (N, K) in `known`. Without `read`, K is 0."""
        self._looks = default_looks() if read else None
        self._size = self._looks.size if self._looks is not None else 0
        self._parts, self._last_s = list(known), -np.inf

    def add(self, image: Image, faces: Faces, time_s: float) -> None:
        """Look at the faces of the next frame, if it is time."""
        if self._looks is not None and len(faces) and time_s - self._last_s >= LOOK_EVERY_S:
            self._parts.append(self._looks.describe(image, faces))
            self._last_s = time_s
        else:
            self._parts.append(np.full((len(faces), self._size), np.nan, np.float32))

    def numbers(self) -> NDArray[np.float32]:
        """Return the numbers (N, K) of all faces so far, NaN where they were not looked at."""
        return np.concatenate([np.zeros((0, self._size), np.float32), *self._parts])


def mean_looks(looks: Floats, which: NDArray[Any], tracklets: int) -> Floats:
    """Return the mean looks (T, K) of tracklets; NaN for those that were never looked at.

    Args:
        looks: (N, K), NaN where a face was not looked at.
        which: (N,) tracklet of each face, from 0.
        tracklets: T.
    """
    known = np.isfinite(looks).all(1)
    total = np.zeros((tracklets, looks.shape[1]))
    np.add.at(total, which[known], looks[known])
    count = np.bincount(which[known], minlength=tracklets)
    return np.asarray(np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan))
