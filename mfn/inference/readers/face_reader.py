"""`Reader`: reads what a multi-face network took for faces once more, each in an upright crop of the picture's own pixels.

The multi-face network sees small faces with few pixels. A crop shows all that the picture holds of a face. What is read there decides
together with the multi-face network whether it is a face and where its box lies, and describes it.

Letters: N faces, S side of a crop in px, K faces in a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.sessions.devices import CPU, Provider
from mfn.inference.sessions.onnx_session import check_reader, open_session
from mfn.structures.cells import CELL_SIZE, IDENTITY_SIZE, MAX_LOGIT, SLICES, read_cells
from mfn.structures.crop_geometry import CROP_CELLS, boxes_from_crops, cut_crops, faces_from_crops, upright_frames
from mfn.structures.faces import Faces
from mfn.structures.head_model import default_head_model
from mfn.structures.network_metadata import ReaderRule
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image

if TYPE_CHECKING:
    import onnxruntime

_BATCH = 64
_MAX_LEFT_ROLL_DEG = 50.0  # a face that is still turned by more in its crop is read again, in a crop that is turned
_AVERAGED = {
    "identity": np.arange(IDENTITY_SIZE),
    "expression": np.array([i for i, name in enumerate(EXPRESSION_NAMES) if not name.startswith("eye")]),
}
"""The columns of which tall faces get the mean. The multi-face network hardly sees winks, so eyes are the reader's alone."""
_POSE = ("rotation", "scale", "center")
_MIN_PROBABILITY = 1e-6


class ScoreRule(NamedTuple):
    """How the score and the box of a face follow from both networks. Chosen by experiments/accuracy/ablation/score_rule.py.

    The probability of a face is sigmoid(dense * d + crop * c + bias) of the logits d of the multi-face network and c of the reader.

    Attributes:
        dense, crop, bias: See above.
        box: Share of the reader in the box, 0 to 1.
    """

    dense: float
    crop: float
    bias: float
    box: float


SCORE_RULE = ScoreRule(dense=1.0, crop=0.7, bias=-0.9, box=0.75)
CANDIDATE_SCORE = 0.1
"""Smallest probability by the multi-face network of what the reader looks at."""


@dataclass(frozen=True)
class Reading:
    """What was read in the crops of N faces.

    Attributes:
        faces: The faces with the pose, identity and expression that were read. Other values are unchanged.
        logit: (N,) logit of the probability that a crop holds a face.
        box: (N, 4) x1 y1 x2 y2 in px of the picture.
    """

    faces: Faces
    logit: NDArray[np.float32]
    box: NDArray[np.float32]

    def select(self, rows: NDArray[Any]) -> Reading:
        """Return the reading of some of the faces."""
        return Reading(self.faces[rows], self.logit[rows], self.box[rows])


class Reader:
    """Reads pose, identity and expression of faces whose place is known."""

    def __init__(self, session: onnxruntime.InferenceSession, size_px: int) -> None:
        """Wrap a session of ONNX Runtime. Most programs use `Predictor`, which loads a reader itself.

        Args:
            session: A network with input `image` (B, S, S, 3) uint8 RGB and output `parameters`.
            size_px: Side of the crops, S.
        """
        self.session = session
        self.size_px = size_px
        self.weights: Path | None = None
        """The file of the network, if `load` opened it."""
        self.model = default_head_model()

    @classmethod
    def load(cls, path: Path, threads: int = 0, providers: Sequence[Provider] = (CPU,)) -> Reader:
        """Load a face reader.

        Args:
            path: An ONNX file that `mfn export` made of a `FaceReader`.
            threads: CPU cores that one call uses; 0 for all.
            providers: Execution providers of ONNX Runtime, the preferred one first.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not a network that reads crops.
        """
        session = open_session(path, threads, providers)
        reader = cls(session, check_reader(path, session))
        reader.weights = path
        return reader

    def refine(
        self, picture: Image, faces: Faces, input_height_px: NDArray[np.float32], rule: ReaderRule, count: int | None = None
    ) -> Faces:
        """Read faces in their crops: decide how sure they are, place their boxes, and replace values by those that were read.

        Args:
            picture: (H, W, 3) uint8 RGB.
            faces: N faces in px of the picture.
            input_height_px: (N,) height of each face in the input of the multi-face network that found it.
            rule: Which values are replaced.
            count: Number of crops that the network reads, K, for a time that does not depend on the number of faces: the surest faces
                (see `choose_to_refine`), and empty crops if there are fewer. None: all faces.

        Returns:
            The faces in the same order, with `refined` set for those that were read.
        """
        rows = np.arange(len(faces)) if count is None else choose_to_refine(faces, count)
        if not len(rows) and not count:
            return faces
        reading = self.read(picture, faces[rows], count or 0)
        changes = _replaced(faces, rows, reading.faces, input_height_px, rule)
        changes |= {"refined": faces.refined.copy(), "score": faces.score.copy(), "box": faces.box.copy()}
        changes["refined"][rows] = True
        changes["score"][rows] = confirmed_score(faces.score[rows], reading.logit)
        changes["box"][rows] += np.float32(SCORE_RULE.box) * (reading.box - faces.box[rows])
        return faces.replace(**changes)

    def read(self, picture: Image, faces: Faces, pad_to: int = 0) -> Reading:
        """Read the crops of faces.

        Args:
            picture: (H, W, 3) uint8 RGB.
            faces: N faces in px of the picture.
            pad_to: Smallest number of crops that the network is run with.

        A face that is still turned in its crop, such as one that the multi-face network took for upright, is read again upright.
        """
        found = self._read_once(picture, faces, pad_to)
        turned = np.flatnonzero(_angle_between_deg(found.faces.rotation, faces.rotation) > _MAX_LEFT_ROLL_DEG)
        if not len(turned):
            return found
        again = self._read_once(picture, found.faces[turned])
        agrees = _angle_between_deg(again.faces.rotation, found.faces.rotation[turned]) < _MAX_LEFT_ROLL_DEG
        rows = np.arange(len(found.logit))
        rows[turned[agrees]] = len(rows) + np.flatnonzero(agrees)
        both = Reading(
            Faces.concatenate([found.faces, again.faces]),
            np.concatenate([found.logit, again.logit]),
            np.concatenate([found.box, again.box]),
        )
        return both.select(rows)

    def _read_once(self, picture: Image, faces: Faces, pad_to: int = 0) -> Reading:
        frames = upright_frames(faces, self.model, self.size_px)
        raw = self._run(cut_crops(picture, frames.matrix, self.size_px), pad_to)
        middle = np.full((len(raw), 2), self.size_px / 2, np.float32)
        cell = read_cells(raw, middle, np.full(len(raw), self.size_px / CROP_CELLS, np.float32))
        logit = np.clip(raw[:, SLICES["score"].start], -MAX_LOGIT, MAX_LOGIT)
        return Reading(faces.replace(**faces_from_crops(cell, frames)), logit, boxes_from_crops(cell["box"], frames))

    def _run(self, crops: NDArray[np.uint8], pad_to: int) -> NDArray[np.float32]:
        """Run the network on crops (N, S, S, 3) in batches -> (N, CELL_SIZE)."""
        count = len(crops)
        if count < pad_to:
            crops = np.concatenate([crops, np.zeros((pad_to - count, *crops.shape[1:]), np.uint8)])
        parts = [self.session.run(None, {"image": crops[i : i + _BATCH]})[0] for i in range(0, len(crops), _BATCH)]
        return np.concatenate([np.zeros((0, CELL_SIZE), np.float32), *parts])[:count]


def confirmed_score(score: NDArray[np.float32], logit: NDArray[np.float32], rule: ScoreRule = SCORE_RULE) -> NDArray[np.float32]:
    """Return the probability of a face by both networks, (N,): `score` (N,) by the multi-face network, `logit` (N,) by the reader."""
    score = np.clip(score, _MIN_PROBABILITY, 1 - _MIN_PROBABILITY)
    both = rule.dense * np.log(score / (1 - score)) + rule.crop * logit + rule.bias
    return np.asarray(1 / (1 + np.exp(-both)), np.float32)


def _replaced(
    faces: Faces, rows: NDArray[np.int64], read: Faces, input_height_px: NDArray[np.float32], rule: ReaderRule
) -> dict[str, NDArray[Any]]:
    """Return the fields of faces in which the values of some rows are replaced by those of `read`, as `rule` says."""
    limits = {**dict.fromkeys(_POSE, rule.pose_px), "identity": rule.identity_px, "expression": rule.expression_px}
    changes: dict[str, NDArray[Any]] = {}
    tall = input_height_px[rows] > rule.mean_px
    for name, limit in limits.items():
        changes[name], replaced = getattr(faces, name).copy(), input_height_px[rows] < limit
        changes[name][rows[replaced]] = getattr(read, name)[replaced]
        if name in _AVERAGED:
            both = replaced & tall
            mean = 0.5 * (getattr(faces, name)[rows[both]] + getattr(read, name)[both])
            changes[name][np.ix_(rows[both], _AVERAGED[name])] = mean[:, _AVERAGED[name]]
    return changes


def _angle_between_deg(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the angle about the viewing axis (N,) between rotations (N, 3, 3), 0 to 180 degrees."""
    rest = np.asarray(a, np.float64) @ np.asarray(b, np.float64).swapaxes(1, 2)
    return np.asarray(np.abs(np.degrees(np.arctan2(rest[:, 1, 0] - rest[:, 0, 1], rest[:, 0, 0] + rest[:, 1, 1]))))


def choose_to_refine(faces: Faces, count: int) -> NDArray[np.int64]:
    """Choose the rows of the faces to read where only some can be: the surest, and of equally sure ones the largest.

    Args:
        faces: N faces.
        count: K.

    Returns:
        At most K rows, in the order of `faces`. Scores are compared in steps of a tenth.
    """
    height = faces.box[:, 3] - faces.box[:, 1]
    return np.sort(np.lexsort((-height, -np.round(faces.score, 1)))[:count])
