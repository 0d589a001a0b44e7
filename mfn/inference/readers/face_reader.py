"""`Reader`: reads what a multi-face network took for faces once more, each in an upright crop of the picture's own pixels.

The multi-face network sees small faces with few pixels. A crop shows all that the picture holds of a face. What is read there decides
together with the multi-face network whether it is a face and where its box lies, and describes it.

Letters: N faces, S side of a crop in px, K faces in a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mfn.inference.readers.crop_network import BATCH, CropNetwork, Reading
from mfn.inference.readers.reading_rules import READER_ALONE, RULES, ReadingRules, ScoreRule
from mfn.inference.readers.repeated_crops import most_that_fit
from mfn.inference.sessions.devices import CPU, Provider
from mfn.inference.sessions.onnx_session import check_reader, open_session
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES
from retarget.geometry.rotations import nearest_rotation
from retarget.io.images import Image

if TYPE_CHECKING:
    import onnxruntime

_READER_ALONE = np.array([name.startswith(READER_ALONE) for name in EXPRESSION_NAMES])
_MIN_PROBABILITY = 1e-6
_REST = np.float32(0.1)  # a weight that the spread does not change


MAX_LEFT_ROLL_DEG = 50.0
"""A face whose roll is read to differ by more from what is known is read again, in a crop that is turned, or keeps its pose."""
CANDIDATE_SCORE = 0.05
"""Smallest probability by the multi-face network of what the reader looks at."""
LIKELY_SCORE = 0.3
"""Probability by the multi-face network from which a candidate is read in several crops, and takes turns in a crowd of a video."""
DOUBTFUL_SCORE = 0.1
"""Candidates below this probability are read in frames only if crops are left. On held-out photos 2,210 of them held one face."""


class Reader:
    """Reads pose, identity and expression of faces whose place is known."""

    def __init__(self, session: onnxruntime.InferenceSession, size_px: int) -> None:
        """Wrap a session of ONNX Runtime. Most programs use `Predictor`, which loads a reader itself.

        Args:
            session: A network with input `image` (B, S, S, 3) uint8 RGB and output `cell`.
            size_px: Side of the crops, S.
        """
        self.network = CropNetwork(session, size_px)
        self.weights: Path | None = None
        """The file of the network, if `load` opened it."""
        self.rules = RULES
        """How what it reads is joined with what the multi-face network found."""

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
        self,
        picture: Image,
        faces: Faces,
        input_height_px: NDArray[np.float32],
        count: int | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> Faces:
        """Read faces in their crops: decide how sure they are, place their boxes, and average values with those that were read.

        Args:
            picture: (H, W, 3) uint8 RGB.
            faces: N faces in px of the picture.
            input_height_px: (N,) height of each face in the input of the multi-face network that found it.
            count: Number of crops that the network reads, K, for a time that does not depend on the number of faces: those of the surest
                faces (see `choose_to_refine`), and empty crops if there are fewer. None: all faces, more exactly (see `read`).
            rows: Rows of the faces to read, instead of the surest ones. Doubtful ones are left out if they are too many (see
                `crops_of_each`).

        Returns:
            The faces in the same order, with `refined` set for those that were read.
        """
        if rows is None:
            rows = np.arange(len(faces)) if count is None else choose_to_refine(faces, count)
        rows = rows[crops_of_each(faces.score[rows], count) > 0]
        if not len(rows) and not count:
            return faces
        reading = self.read(picture, faces[rows], count)
        mixed = mix(faces[rows], reading.faces, input_height_px[rows], self.rules).replace(
            refined=np.ones(len(rows), np.bool_),
            score=confirmed_score(faces.score[rows], reading.logit, self.rules.score),
            box=faces.box[rows] + np.float32(self.rules.score.box) * (reading.box - faces.box[rows]),
        )
        order = np.arange(len(faces))
        order[rows] = len(faces) + np.arange(len(rows))
        return Faces.concatenate([faces, mixed])[order]

    def read(self, picture: Image, faces: Faces, count: int | None = None) -> Reading:
        """Read the crops of faces.

        Args:
            picture: (H, W, 3) uint8 RGB.
            faces: N faces in px of the picture.
            count: Number of crops with which the network is run, once. None: as many as needed.

        A likely face is read in several crops if there are few (see `crops_of_each`), and the values are the mean.

        A face that is still turned in its crop, such as one that the multi-face network took for upright, is read again upright. If the
        second reading contradicts the first, or there is none because of `count`, the face keeps its pose.
        """
        found = self._read_crops(picture, faces, count)
        turned = np.flatnonzero(roll_between_deg(found.faces.rotation, faces.rotation) > MAX_LEFT_ROLL_DEG)
        if not len(turned) or count is not None:
            return replace(found, faces=_take_pose(found.faces, turned, faces))
        again = self._read_crops(picture, found.faces[turned])
        agrees = roll_between_deg(again.faces.rotation, found.faces.rotation[turned]) < MAX_LEFT_ROLL_DEG
        rows = np.arange(len(found.logit))
        rows[turned[agrees]] = len(rows) + np.flatnonzero(agrees)
        both = Reading(
            Faces.concatenate([_take_pose(found.faces, turned[~agrees], faces), again.faces]),
            np.concatenate([found.logit, again.logit]),
            np.concatenate([found.box, again.box]),
        )
        return both.select(rows)

    def _read_crops(self, picture: Image, faces: Faces, count: int | None = None) -> Reading:
        """Read each face in its crops. `count`: see `read`."""
        return self.network.read(picture, faces, np.maximum(crops_of_each(faces.score, count), 1), count or 0)


def confirmed_score(score: NDArray[np.float32], logit: NDArray[np.float32], rule: ScoreRule = RULES.score) -> NDArray[np.float32]:
    """Return the probability of a face by both networks, (N,): `score` (N,) by the multi-face network, `logit` (N,) by the reader."""
    score = np.clip(score, _MIN_PROBABILITY, 1 - _MIN_PROBABILITY)
    both = rule.dense * np.log(score / (1 - score)) + rule.crop * logit + rule.bias
    return np.asarray(1 / (1 + np.exp(-both)), np.float32)


def mix(found: Faces, read: Faces, input_height_px: NDArray[np.float32], rules: ReadingRules = RULES) -> Faces:
    """Average the pose, identity and expression of N faces as the multi-face network found them and as the reader read them.

    Args:
        found: N faces.
        read: The same faces.
        input_height_px: (N,) see `Share`.
        rules: The shares of both.

    A face whose roll the reader corrected keeps the reader's pose: two opposite poses have no mean.
    """
    pose, identity, expression = (share.at(input_height_px)[:, None] for share in rules[:3])
    pose = np.where(roll_between_deg(read.rotation, found.rotation)[:, None] > MAX_LEFT_ROLL_DEG, np.float32(1), pose)
    expression = np.where(_READER_ALONE, np.float32(1), expression)
    return mean_faces(found, read, pose, identity, expression, rules.spread)


ShareOf = NDArray[np.float32] | float


def mean_faces(  # noqa: PLR0917  # a share for each kind of value
    first: Faces, second: Faces, pose: ShareOf, identity: ShareOf, expression: ShareOf, spread: float = 1.0
) -> Faces:
    """Average the pose, identity and expression of N faces that were described twice.

    Args:
        first, second: The same faces in px of the same picture.
        pose, identity, expression: Share of `second` in each value, 0 to 1: a number, (N, 1), or (N, 51) of the expression.
        spread: How much wider the expression is spread where both count the same.

    Returns:
        `first` with the mean values.

    The mean of two predictions with independent errors varies less than each of them. So the distance of a weight from _REST is
    multiplied by 1 + 4 s (1 - s) (spread - 1), where s is the share: by `spread` at 0.5, by 1 at 0 and 1.
    """
    weights = first.expression + expression * (second.expression - first.expression)
    factor = 1 + 4 * np.asarray(expression * (1 - expression), np.float32) * np.float32(spread - 1)
    pose = np.broadcast_to(np.asarray(pose, np.float32), (len(first), 1))
    rotation = nearest_rotation(first.rotation + pose[:, :, None] * (second.rotation - first.rotation))
    return first.replace(
        rotation=np.asarray(rotation, np.float32),
        scale=first.scale * (second.scale / first.scale) ** pose[:, 0],
        center=first.center + pose * (second.center - first.center),
        identity=first.identity + identity * (second.identity - first.identity),
        expression=np.clip(_REST + factor * (weights - _REST), 0, 1),
    )


def _take_pose(faces: Faces, rows: NDArray[np.int64], other: Faces) -> Faces:
    """Return faces of which some rows have the pose of the same rows of `other`."""
    changes = {name: getattr(faces, name).copy() for name in ("rotation", "scale", "center")}
    for name, values in changes.items():
        values[rows] = getattr(other, name)[rows]
    return faces.replace(**changes)


def roll_between_deg(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the angle about the viewing axis (N,) between rotations (N, 3, 3), 0 to 180 degrees."""
    rest = np.asarray(a, np.float64) @ np.asarray(b, np.float64).swapaxes(1, 2)
    return np.asarray(np.abs(np.degrees(np.arctan2(rest[:, 1, 0] - rest[:, 0, 1], rest[:, 0, 0] + rest[:, 1, 1]))))


def crops_of_each(score: NDArray[np.float32], count: int | None) -> NDArray[np.int64]:
    """Choose in how many crops each candidate is read.

    Args:
        score: (N,) probability by the multi-face network.
        count: Number of crops that the network reads, K. None: as many as needed.

    Returns:
        (N,) number of crops. Without a `count` all candidates have two (as they are and mirrored), and likely ones more if these fit in a
        batch. With one, candidates that are not doubtful have one crop, likely ones as many as then fit. Of the doubtful ones the surest
        have one crop each while crops are left, the others none.
    """
    likely, doubtful = score >= LIKELY_SCORE, score < DOUBTFUL_SCORE
    if count is None:
        return np.where(likely, most_that_fit((2, 4, 8), int(likely.sum()), BATCH), 2)
    others = int((~likely & ~doubtful).sum())
    crops = np.where(likely, most_that_fit((1, 2, 4, 8), int(likely.sum()), count - others), 1)
    left = max(count - int(crops[~doubtful].sum()), 0)
    rows = np.flatnonzero(doubtful)
    crops[rows[np.argsort(-score[rows], kind="stable")][left:]] = 0
    return crops


def choose_to_refine(faces: Faces, count: int) -> NDArray[np.int64]:
    """Choose the rows of the faces to read where only some can be: the surest, and of equally sure ones the largest; doubtful ones last.

    Args:
        faces: N faces.
        count: K.

    Returns:
        At most K rows, in the order of `faces`. Scores are compared in steps of a tenth.
    """
    height = faces.box[:, 3] - faces.box[:, 1]
    return np.sort(np.lexsort((-height, -np.round(faces.score, 1), faces.score < DOUBTFUL_SCORE))[:count])
