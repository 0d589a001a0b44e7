"""`PortraitReader`: reads the faces of photos, and of frames with few faces, once more in larger crops.

The face reader and the multi-face network see a face in few pixels. SFN, the network of single faces, reads crops of 128 x 128 px. Its
values and the mean of the other two are averaged: networks that were trained differently make different errors. A crop takes as long as
COST crops of the face reader, so that a frame with many faces has no time for it.

Letters: N faces, K crops that the face reader reads in a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.readers.crop_network import CropNetwork
from mfn.inference.readers.face_reader import (
    DOUBTFUL_SCORE,
    LIKELY_SCORE,
    MAX_LEFT_ROLL_DEG,
    mean_faces,
    roll_between_deg,
)
from mfn.inference.readers.reading_rules import PORTRAIT_NEVER, RULES, ReadingRules
from mfn.inference.readers.repeated_crops import most_that_fit
from mfn.inference.sessions.devices import CPU, Provider
from mfn.inference.sessions.onnx_session import check_single_face, open_session
from mfn.structures.crop_geometry import CROP_SIZE
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image

if TYPE_CHECKING:
    import onnxruntime

COST = 2
"""A crop takes as long as so many of the face reader (0.65 and 0.32 ms on one core of an AMD EPYC processor)."""
_FRAME_SHARE = 4  # in a frame with few faces it reads K / 4 crops
_NEVER = np.array([name.startswith(PORTRAIT_NEVER) for name in EXPRESSION_NAMES])
_BATCH = 16  # in photos each face is read in several crops if these fit in a batch


class CropCounts(NamedTuple):
    """How many crops of a frame are read. None, in photos: as many as needed.

    Attributes:
        face: Of the face reader.
        portrait: Of the portrait reader; 0 for none.
    """

    face: int | None
    portrait: int | None


def share_crops(score: NDArray[np.float32], count: int | None) -> CropCounts:
    """Share the time of a frame between the face reader and the portrait reader.

    Args:
        score: (N,) probability of each candidate by the multi-face network.
        count: K. None in photos, where both read all faces.

    Returns:
        If at most K / 4 candidates are likely, and at most K / 2 are not doubtful, the portrait reader reads K / 4 crops, and the face
        reader K / 2. Together they take as long as K crops of the face reader. Otherwise the face reader reads K crops, and the portrait
        reader none.
    """
    if count is None:
        return CropCounts(None, None)
    portrait = count // _FRAME_SHARE
    face = count - COST * portrait
    fits = int((score >= LIKELY_SCORE).sum()) <= portrait and int((score >= DOUBTFUL_SCORE).sum()) <= face
    return CropCounts(face, portrait) if fits else CropCounts(count, 0)


class PortraitReader:
    """Reads pose, identity and expression of faces whose place is known."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        """Wrap a session of ONNX Runtime. Most programs use `Predictor`, which loads a portrait reader itself.

        Args:
            session: A network with input `image` (B, 128, 128, 3) uint8 RGB and output `parameters`.
        """
        self.network = CropNetwork(session, CROP_SIZE)
        self.weights: Path | None = None
        """The file of the network, if `load` opened it."""

    @classmethod
    def load(cls, path: Path, threads: int = 0, providers: Sequence[Provider] = (CPU,)) -> PortraitReader:
        """Load a portrait reader.

        Args:
            path: An ONNX file that `mfn export` made of an `SFN`, or of another network that predicts parameters.
            threads: CPU cores that one call uses; 0 for all.
            providers: Execution providers of ONNX Runtime, the preferred one first.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is another network.
        """
        session = open_session(path, threads, providers)
        kind = check_single_face(path, session)
        if kind != "parameters":
            raise ValueError(f"{path}: expected a network that predicts parameters, got one of kind {kind}")
        reader = cls(session)
        reader.weights = path
        return reader

    def refine(self, picture: Image, faces: Faces, count: int | None = None, rules: ReadingRules = RULES) -> Faces:
        """Average the pose, identity and expression of faces with what is read in crops of 128 px.

        Args:
            picture: (H, W, 3) uint8 RGB.
            faces: N faces in px of the picture. Only those with `refined` set are read.
            count: Number of crops that the network reads, for a fixed time: those of the first faces, and empty crops if there are fewer.
                None: all faces.
            rules: The share of what is read. Of a face that is read as turned by more than `MAX_LEFT_ROLL_DEG`, and of the shapes
                `PORTRAIT_NEVER`, it is 0.
        """
        rows = np.flatnonzero(faces.refined)[:count]
        if not len(rows) and not count:
            return faces
        number = most_that_fit((1, 2, 4, 8), len(rows), count or _BATCH)
        read = self.network.read(picture, faces[rows], np.full(len(rows), number), count or 0).faces
        agrees = roll_between_deg(read.rotation, faces.rotation[rows]) <= MAX_LEFT_ROLL_DEG
        shares = np.where(agrees, np.float32(rules.portrait), np.float32(0))[:, None]
        of_shapes = np.where(_NEVER, np.float32(0), shares)
        order = np.arange(len(faces))
        order[rows] = len(faces) + np.arange(len(rows))
        return Faces.concatenate([faces, mean_faces(faces[rows], read, shares, shares, of_shapes, rules.spread)])[order]
