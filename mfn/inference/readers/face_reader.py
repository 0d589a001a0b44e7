"""`Reader`: reads what a multi-face network took for faces once more, each in an upright crop of the picture's own pixels.

The multi-face network sees small faces with few pixels. A crop shows all that the picture holds of a face. What is read there decides
together with the multi-face network whether it is a face and where its box lies, and describes it.

Letters: N faces, S side of a crop in px, K faces in a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfn.inference.readers.reading_rules import READER_ALONE, RULES, ReadingRules, ScoreRule
from mfn.inference.readers.repeated_crops import FACE_CHANGES, CropChange, most_that_fit
from mfn.inference.sessions.devices import CPU, Provider
from mfn.inference.sessions.onnx_session import check_reader, open_session, run
from mfn.structures.cells import CELL_SIZE, MAX_LOGIT, SLICES, read_cells
from mfn.structures.crop_geometry import (
    CROP_CELLS,
    CropFrames,
    boxes_from_crops,
    cut_crops,
    faces_from_crops,
    upright_frames,
)
from mfn.structures.faces import Faces
from mfn.structures.flip import cell_flip
from mfn.structures.head_model import default_head_model
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image

if TYPE_CHECKING:
    import onnxruntime

_BATCH = 64
_MAX_LEFT_ROLL_DEG = 50.0  # a face that is still turned by more in its crop is read again, in a crop that is turned
_READER_ALONE = np.array([name.startswith(READER_ALONE) for name in EXPRESSION_NAMES])
_MIN_PROBABILITY = 1e-6
_REST = np.float32(0.1)  # a weight that the spread does not change


CANDIDATE_SCORE = 0.05
"""Smallest probability by the multi-face network of what the reader looks at."""
LIKELY_SCORE = 0.3
"""Probability by the multi-face network from which a candidate is read in several crops, and takes turns in a crowd of a video."""
DOUBTFUL_SCORE = 0.1
"""Candidates below this probability are read in frames only if crops are left. On held-out photos 2,210 of them held one face."""


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
        self.rules = RULES
        """How what it reads is joined with what the multi-face network found."""
        self.model = default_head_model()
        self._flip = cell_flip(self.model.identity_mirror)

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
            rows: At most K rows of the faces to read, instead of the surest ones.

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
        turned = np.flatnonzero(_angle_between_deg(found.faces.rotation, faces.rotation) > _MAX_LEFT_ROLL_DEG)
        if not len(turned) or count is not None:
            return replace(found, faces=_take_pose(found.faces, turned, faces))
        again = self._read_crops(picture, found.faces[turned])
        agrees = _angle_between_deg(again.faces.rotation, found.faces.rotation[turned]) < _MAX_LEFT_ROLL_DEG
        rows = np.arange(len(found.logit))
        rows[turned[agrees]] = len(rows) + np.flatnonzero(agrees)
        both = Reading(
            Faces.concatenate([_take_pose(found.faces, turned[~agrees], faces), again.faces]),
            np.concatenate([found.logit, again.logit]),
            np.concatenate([found.box, again.box]),
        )
        return both.select(rows)

    def _read_crops(self, picture: Image, faces: Faces, count: int | None = None) -> Reading:
        """Read each face in its crops, and return the mean. `count`: see `read`."""
        upright = upright_frames(faces, self.model, self.size_px)
        numbers = np.maximum(crops_of_each(faces.score, count), 1)
        groups = [(np.flatnonzero(numbers == number), FACE_CHANGES[number]) for number in np.unique(numbers).tolist()]
        empty = np.zeros((0, self.size_px, self.size_px, 3), np.uint8)
        crops = [self._cut(picture, upright, *group) for group in groups]
        raw, start = self._run(np.concatenate([empty, *crops]), count or 0), 0
        values: dict[str, NDArray[np.float32]] = {}
        for rows, changes in groups:
            end = start + len(rows) * len(changes)
            for name, mean in self._mean(raw[start:end], upright, rows, changes).items():
                values.setdefault(name, np.zeros((len(faces), *mean.shape[1:]), np.float32))[rows] = mean
            start = end
        if not values:
            return Reading(faces, np.zeros(0, np.float32), faces.box)
        logit, box = values.pop("logit"), values.pop("box")
        return Reading(faces.replace(**values), logit, box)

    def _cut(self, picture: Image, upright: CropFrames, rows: NDArray[np.int64], changes: Sequence[CropChange]) -> NDArray[np.uint8]:
        """Cut the crops of some faces, those of the first change first. A crop and its mirror image are cut once."""
        plain = {change._replace(mirrored=False) for change in changes}
        cut = {change: cut_crops(picture, change.apply(upright.matrix[rows], self.size_px), self.size_px) for change in plain}
        return np.concatenate([cut[change._replace(mirrored=False)][:, :, :: -1 if change.mirrored else 1] for change in changes])

    def _mean(
        self, raw: NDArray[np.float32], upright: CropFrames, rows: NDArray[np.int64], changes: Sequence[CropChange]
    ) -> dict[str, NDArray[np.float32]]:
        """Return what was read in the crops of some faces, in px of the picture, as the mean over the changes."""
        matrix = np.concatenate([change.apply(upright.matrix[rows], self.size_px) for change in changes])
        mirrored = np.repeat([change.mirrored for change in changes], len(rows))
        raw = np.where(mirrored[:, None], raw[:, self._flip.order] * self._flip.sign, raw)
        frames = CropFrames(matrix, np.tile(upright.turn[rows], (len(changes), 1, 1)))
        middle = np.full((len(raw), 2), self.size_px / 2, np.float32)
        cell = read_cells(raw, middle, np.full(len(raw), self.size_px / CROP_CELLS, np.float32))
        values = faces_from_crops(cell, frames) | {"box": boxes_from_crops(cell["box"], frames)}
        values["logit"] = np.clip(raw[:, SLICES["score"].start], -MAX_LOGIT, MAX_LOGIT)
        values["scale"] = np.log(values["scale"])
        shape = (len(changes), len(rows))
        mean = {name: np.asarray(value.reshape(*shape, *value.shape[1:]).mean(0), np.float32) for name, value in values.items()}
        rotation = _nearest_rotation(mean["rotation"]) if len(changes) > 1 else mean["rotation"]
        return mean | {"scale": np.exp(mean["scale"]), "rotation": rotation}

    def _run(self, crops: NDArray[np.uint8], pad_to: int = 0) -> NDArray[np.float32]:
        """Run the network on crops (N, S, S, 3) in batches -> (N, CELL_SIZE)."""
        count = len(crops)
        if count < pad_to:
            crops = np.concatenate([crops, np.zeros((pad_to - count, *crops.shape[1:]), np.uint8)])
        parts = [run(self.session, {"image": crops[i : i + _BATCH]}) for i in range(0, len(crops), _BATCH)]
        return np.concatenate([np.zeros((0, CELL_SIZE), np.float32), *parts])[:count]


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

    The mean of two predictions with independent errors varies less than each of them. So the distance of a weight from _REST is
    multiplied by 1 + 4 s (1 - s) (spread - 1), where s is the share: by `rules.spread` at 0.5, by 1 at 0 and 1.

    A face whose roll the reader corrected keeps the reader's pose: two opposite poses have no mean.
    """
    pose, identity, expression = (share.at(input_height_px)[:, None] for share in rules[:3])
    pose = np.where(_angle_between_deg(read.rotation, found.rotation)[:, None] > _MAX_LEFT_ROLL_DEG, np.float32(1), pose)
    expression = np.where(_READER_ALONE, np.float32(1), expression)
    spread = 1 + 4 * expression * (1 - expression) * np.float32(rules.spread - 1)
    mean = found.expression + expression * (read.expression - found.expression)
    return found.replace(
        rotation=_nearest_rotation(found.rotation + pose[:, :, None] * (read.rotation - found.rotation)),
        scale=found.scale * (read.scale / found.scale) ** pose[:, 0],
        center=found.center + pose * (read.center - found.center),
        identity=found.identity + identity * (read.identity - found.identity),
        expression=np.clip(_REST + spread * (mean - _REST), 0, 1),
    )


def _nearest_rotation(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rotations (N, 3, 3) that are nearest to matrices (N, 3, 3), which are means of rotations.

    Source: Kabsch, Acta Crystallographica A32, 1976. Without the sign the nearest matrix may be a reflection.
    """
    u, _, v = np.linalg.svd(matrix.astype(np.float64))
    u[:, :, 2] *= np.sign(np.linalg.det(u @ v))[:, None]
    return np.asarray(u @ v, np.float32)


def _take_pose(faces: Faces, rows: NDArray[np.int64], other: Faces) -> Faces:
    """Return faces of which some rows have the pose of the same rows of `other`."""
    changes = {name: getattr(faces, name).copy() for name in ("rotation", "scale", "center")}
    for name, values in changes.items():
        values[rows] = getattr(other, name)[rows]
    return faces.replace(**changes)


def _angle_between_deg(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
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
        return np.where(likely, most_that_fit((2, 4, 8), int(likely.sum()), _BATCH), 2)
    others = int((~likely & ~doubtful).sum())
    crops = np.where(likely, most_that_fit((1, 2, 4, 8), int(likely.sum()), count - others), 1)
    left = max(count - int(crops[~doubtful].sum()), 0)
    rows = np.flatnonzero(doubtful)
    crops[rows[np.argsort(-score[rows], kind="stable")][left:]] = 0
    return crops


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
