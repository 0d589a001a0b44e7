"""`CropNetwork`: reads faces in upright crops, each face in one crop or in several that differ a little, whose values are averaged.

Letters: N faces, S side of a crop in px, C = `CELL_SIZE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfn.inference.readers.repeated_crops import FACE_CHANGES, CropChange
from mfn.inference.sessions.onnx_session import run
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
from retarget.geometry.rotations import nearest_rotation
from retarget.io.images import Image

if TYPE_CHECKING:
    import onnxruntime

BATCH = 64
"""Number of crops that the network reads at once, at most."""


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


class CropNetwork:
    """A network that reads one face in each crop."""

    def __init__(self, session: onnxruntime.InferenceSession, size_px: int) -> None:
        """Wrap a session of ONNX Runtime.

        Args:
            session: A network with input `image` (B, S, S, 3) uint8 RGB. Its output is a cell (B, C), or only the parameters, with which a
                cell ends.
            size_px: Side of the crops, S.
        """
        self.session, self.size_px = session, size_px
        self.model = default_head_model()
        self._flip = cell_flip(self.model.identity_mirror)

    def read(self, picture: Image, faces: Faces, crops_of_each: NDArray[np.int64], pad_to: int = 0) -> Reading:
        """Read faces, each in a number of crops, and return the means.

        Args:
            picture: (H, W, 3) uint8 RGB.
            faces: N faces in px of the picture, with a pose to about 20 degrees.
            crops_of_each: (N,) number of crops of each face, from 1 on: a key of `FACE_CHANGES`.
            pad_to: Number of crops with which the network is run at least; the rest are black. 0 for no more than needed.

        Returns:
            N readings. Logit and box mean nothing if the network predicts parameters only.
        """
        upright = upright_frames(faces, self.model, self.size_px)
        groups = [(np.flatnonzero(crops_of_each == number), FACE_CHANGES[number]) for number in np.unique(crops_of_each).tolist()]
        empty = np.zeros((0, self.size_px, self.size_px, 3), np.uint8)
        crops = [self._cut(picture, upright, *group) for group in groups]
        raw, start = self._run(np.concatenate([empty, *crops]), pad_to), 0
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
        plain = list(dict.fromkeys(change._replace(mirrored=False) for change in changes))
        matrices = np.concatenate([change.apply(upright.matrix[rows], self.size_px) for change in plain])
        cut = dict(zip(plain, np.split(cut_crops(picture, matrices, self.size_px, len(plain)), len(plain)), strict=True))
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
        rotation = nearest_rotation(mean["rotation"]) if len(changes) > 1 else mean["rotation"]
        return mean | {"scale": np.exp(mean["scale"]), "rotation": np.asarray(rotation, np.float32)}

    def _run(self, crops: NDArray[np.uint8], pad_to: int = 0) -> NDArray[np.float32]:
        """Run the network on crops (N, S, S, 3) in batches -> (N, C). A network of parameters gets zeros for the rest of the cell."""
        count = len(crops)
        if count < pad_to:
            crops = np.concatenate([crops, np.zeros((pad_to - count, *crops.shape[1:]), np.uint8)])
        parts = [run(self.session, {"image": crops[i : i + BATCH]}) for i in range(0, len(crops), BATCH)]
        raw = np.concatenate(parts) if parts else np.zeros((0, CELL_SIZE), np.float32)
        return np.pad(raw[:count], ((0, 0), (CELL_SIZE - raw.shape[1], 0)))

