"""`EyeReader`: reads lids, gaze, squint and opening of each eye of faces whose place and pose are known.

Letters: N faces, E = 2 N eyes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mfn.inference.readers.repeated_crops import EYE_CHANGES, most_that_fit
from mfn.inference.sessions.devices import CPU, Provider
from mfn.inference.sessions.onnx_session import check_eye_reader, open_session, run
from mfn.structures.crop_geometry import EYE_COLUMNS, EYE_CROP_PX, EYE_SHAPES, cut_crops, eye_frames
from mfn.structures.faces import Faces
from mfn.structures.head_model import default_head_model
from retarget.io.images import Image

if TYPE_CHECKING:
    import onnxruntime

_BATCH = 128
HIDDEN_DIRECTION = 0.77
"""An eye keeps its values where the face is turned so far, sine of the yaw, that the nose hides it: 50 degrees."""
MIN_SIDE_PX = 5.0
"""An eye keeps its values where its crop has a smaller side in the picture: a face of about 15 px."""
_SAME_IN_BOTH = np.array([shape not in ("eyeLookIn", "eyeLookOut") for shape in EYE_SHAPES])
_SQUINT = np.array([shape == "eyeSquint" for shape in EYE_SHAPES])


class EyeReader:
    """Reads the eyes of faces."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        """Wrap a session of ONNX Runtime. Most programs use `Predictor`, which loads an eye reader itself.

        Args:
            session: A network with inputs `image` (E, 32, 32, 3) uint8 RGB and `direction` (E, 3), and output `eyes` (E, 7): the left and
                the right eye of each face, one after the other.
        """
        self.session = session
        self.weights: Path | None = None
        """The file of the network, if `load` opened it."""
        self.model = default_head_model()

    @classmethod
    def load(cls, path: Path, threads: int = 0, providers: Sequence[Provider] = (CPU,)) -> EyeReader:
        """Load an eye reader.

        Args:
            path: An ONNX file that `mfn export` made of an `EyeReader`.
            threads: CPU cores that one call uses; 0 for all.
            providers: Execution providers of ONNX Runtime, the preferred one first.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is another network.
        """
        session = open_session(path, threads, providers)
        check_eye_reader(path, session)
        reader = cls(session)
        reader.weights = path
        return reader

    def refine(self, picture: Image, faces: Faces, count: int | None = None, squint: float = 0.0, kept: float = 0.0) -> Faces:
        """Replace the shapes of the eyes of faces by those that are read in crops of each eye.

        Args:
            picture: (H, W, 3) uint8 RGB.
            faces: N faces in px of the picture. Only those with `refined` set are read.
            count: Number of faces whose eyes the network reads, K, for a fixed time: the first K, and empty crops if there are fewer.
                None: all faces.
            squint: Share of a squint that stays as it is in `faces`, 0 to 1.
            kept: The same of the other shapes. How far the lids of both eyes differ is that of the crops in any case: networks that see the
                whole face read a wink as two half-shut eyes.

        Each eye is read in as many crops as fit in one batch (see `mfn.inference.readers.repeated_crops`), and its values are the mean.
        """
        rows = np.flatnonzero(faces.refined)[:count]
        if not len(rows) and not count:
            return faces
        frames = eye_frames(faces[rows], self.model)
        changes = EYE_CHANGES[most_that_fit(EYE_CHANGES, len(rows), count or _BATCH // 2)]
        matrices = np.concatenate([change.apply(frames.matrix, EYE_CROP_PX) for change in changes])
        crops = cut_crops(picture, matrices, EYE_CROP_PX, len(changes))
        read_all = self._run(crops, np.tile(frames.direction, (len(changes), 1)), 2 * (count or 0))
        weights = np.asarray(read_all.reshape(len(changes), -1, len(EYE_SHAPES)).mean(0), np.float32)
        seen = (frames.direction[:, 0] < HIDDEN_DIRECTION) & (frames.side_px >= MIN_SIDE_PX)
        weights = np.clip(weights + kept * _common(faces.expression[rows][:, EYE_COLUMNS] - weights.reshape(-1, 2, 7), seen), 0, 1)
        expression = faces.expression.copy()
        shares = np.array([1 - squint if shape == "eyeSquint" else 1.0 for shape in EYE_SHAPES], np.float32)
        for side, columns in enumerate(EYE_COLUMNS):
            read = np.flatnonzero(seen[side::2])
            places = np.ix_(rows[read], columns)
            expression[places] += shares * (weights[side::2][read] - expression[places])
        return faces.replace(expression=expression)

    def _run(self, crops: NDArray[np.uint8], direction: NDArray[np.float32], pad_to: int) -> NDArray[np.float32]:
        """Run the network on crops (E, 32, 32, 3) in batches -> weights (E, 7) in [0, 1]."""
        count = len(crops)
        if count < pad_to:
            crops = np.concatenate([crops, np.zeros((pad_to - count, *crops.shape[1:]), np.uint8)])
            direction = np.concatenate([direction, np.zeros((pad_to - count, 3), np.float32)])
        parts = [
            run(self.session, {"image": crops[i : i + _BATCH], "direction": direction[i : i + _BATCH]})
            for i in range(0, len(crops), _BATCH)
        ]
        raw = np.concatenate([np.zeros((0, len(EYE_SHAPES)), np.float32), *parts])[:count]
        return np.asarray(1 / (1 + np.exp(-raw)), np.float32)


def _common(difference: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return differences of the shapes of eyes as those of both eyes together, except in gaze to a side.

    Args:
        difference: (N, 2, 7) differences of each eye.
        seen: (E,) whether an eye is read. Where one eye of a face is not, the other keeps its own difference.

    Returns:
        (E, 7). Squints, which have a share of their own, are 0.
    """
    both = np.asarray(seen.reshape(-1, 2).all(1), np.bool_)
    mean = np.where(both[:, None, None] & _SAME_IN_BOTH, difference.mean(1, keepdims=True), difference)
    return np.asarray(np.where(_SQUINT, 0, mean).reshape(-1, len(EYE_SHAPES)), np.float32)
