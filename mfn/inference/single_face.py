"""`SingleFace`: networks that look at one face at a time. Picture and boxes in, `Faces` out, by ONNX Runtime, no torch.

Where `Predictor` finds and reads all faces in one pass, this reads the faces of given boxes, one crop each, so its time grows with
their number. Letters: N boxes, S = CROP_SIZE.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mfn.inference.predictor import open_session
from mfn.structures.cells import read_parameters
from mfn.structures.crop_geometry import CROP_CELLS, CROP_SIZE, REACH, crop_face, crop_matrix, crop_windows
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.weights import weights_path
from retarget.io.images import Picture, as_image

if TYPE_CHECKING:
    import onnxruntime

WEIGHTS = weights_path("sfn.onnx")
_BATCH = 32


class SingleFace:
    """Reads given faces one by one: `SingleFace.load()(picture, boxes)`.

    A network gives one of three things: `parameters` (N, 124), `points` (N, 520, 3) or a `position_map` (N, 3, M, M).
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        """session: input `image` (B, S, S, 3) uint8 RGB; output: one of the three."""
        self.session = session
        self.gives: str = session.get_outputs()[0].name
        self.model = HeadModel.load()

    @classmethod
    def load(cls, path: str | Path | None = None, *, threads: int = 0) -> SingleFace:
        """Reads weights, by default the embedded SFN. path: an ONNX file of `mfn export`; threads: cores a call uses, 0 = all."""
        path = WEIGHTS if path is None else Path(path)
        session = open_session(path, threads)
        takes = [(i.name, i.type, i.shape[1:]) for i in session.get_inputs()]
        gives = [o.name for o in session.get_outputs()]
        expected = [("image", "tensor(uint8)", [CROP_SIZE, CROP_SIZE, 3])]
        if takes != expected or gives not in (["parameters"], ["points"], ["position_map"]):
            raise ValueError(f"{path}: expected a network of one face, {expected}, got {takes} -> {gives}")
        return cls(session)

    def __call__(self, picture: str | Path | Picture, boxes: NDArray[np.floating]) -> Faces:
        """The faces in boxes (N, 4) x1 y1 x2 y2 px, in their order, score 1. picture: path or RGB (H, W, 3) uint8.

        -> Faces in px of the picture; `box` is drawn anew from what was read.
        """
        if self.gives != "parameters":
            raise ValueError(f"this network gives {self.gives}, not parameters: use `points`")
        windows = self._check(boxes)
        raw = self._run(as_image(picture), windows)
        center = np.full((len(raw), 2), CROP_SIZE / 2, np.float32)
        told = read_parameters(raw, center, np.full(len(raw), CROP_SIZE / CROP_CELLS, np.float32))
        gain = windows[:, 2:] / CROP_SIZE
        faces = Faces(
            image=np.zeros(len(raw), np.int32),
            box=np.zeros((len(raw), 4), np.float32),
            score=np.ones(len(raw), np.float32),
            rotation=told["rotation"],
            scale=told["scale"] * gain[:, 0],
            center=(told["center"] - CROP_SIZE / 2) * gain + windows[:, :2],
            identity=told["identity"],
            expression=told["expression"],
            track=np.full(len(raw), -1, np.int32),
        )
        return faces.replace(box=self.model.boxes(faces))

    def again(self, picture: str | Path | Picture, faces: Faces) -> Faces:
        """Faces of one picture that `Predictor` found, read once more and closer; `image`, `score` and `track` stay."""
        return self(picture, faces.box).replace(image=faces.image, score=faces.score, track=faces.track)

    def points(self, picture: str | Path | Picture, boxes: NDArray[np.floating], name: str = "ibug68") -> NDArray[np.float32]:
        """Landmarks (N, L, 3) px of the picture, of any of the three kinds of network; z on the scale of x, its zero is the network's.

        name: a landmark set of the head model; a network of points knows "dense520" and "ibug68" alone.
        """
        if self.gives == "parameters":
            return self.model.landmarks(self(picture, boxes), name)
        windows = self._check(boxes)
        raw = self._run(as_image(picture), windows)
        if self.gives == "points":
            found = (raw - 0.5) * CROP_SIZE
            found = found if name == "dense520" else found[:, self._sparse(name)]
        else:
            found = (points_of_map(raw, self.model, name) * REACH - [0.5, 0.5, REACH / 2]).astype(np.float32) * CROP_SIZE
        gain = windows[:, None, 2:] / CROP_SIZE
        return np.asarray(found * gain + np.pad(windows[:, None, :2], ((0, 0), (0, 0), (0, 1))), np.float32)

    def _sparse(self, name: str) -> NDArray[np.int64]:
        if name != "ibug68":
            raise ValueError(f'landmarks {name!r}: this network gives "dense520" and "ibug68" alone')
        return nearest_points(self.model)

    def _check(self, boxes: NDArray[np.floating]) -> NDArray[np.float32]:
        boxes = np.asarray(boxes, np.float32)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"boxes: expected shape (N, 4), x1 y1 x2 y2 px, got {boxes.shape}")
        if not np.isfinite(boxes).all() or (boxes[:, 2:] <= boxes[:, :2]).any():
            raise ValueError("boxes: expected x1 < x2 and y1 < y2, all finite; a box is empty, turned around or not a number")
        return crop_windows(boxes)

    def _run(self, picture: Picture, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(windows) == 0:
            shape = self.session.get_outputs()[0].shape[1:]
            return np.zeros((0, *shape), np.float32)
        parts = []
        for first in range(0, len(windows), _BATCH):
            crops = np.stack([crop_face(picture, crop_matrix(w)) for w in windows[first : first + _BATCH]])
            parts.append(self.session.run(None, {"image": crops})[0])
        return np.concatenate(parts)


def nearest_points(model: HeadModel) -> NDArray[np.int64]:
    """(68,) which of the 520 points lies nearest to each of the 68 on the mean head."""
    dense, sparse = (model.points(model.mean, name) for name in ("dense520", "ibug68"))
    return np.linalg.norm(sparse[:, None] - dense[None], axis=-1).argmin(1)


def points_of_map(maps: NDArray[np.floating], model: HeadModel, name: str) -> NDArray[np.float32]:
    """Landmarks (N, L, 3) of position maps (N, 3, M, M), in the maps' own unit: each read at its place on the chart, linearly.

    Points that do not lie on the chart, as those of the eyeballs, are NaN.
    """
    size = maps.shape[-1]
    vertex, share = model.landmark_sets[name]
    on_chart = model.uv[vertex].reshape(len(vertex), -1).min(1) >= 0
    uv = (model.uv[vertex] * share[..., None]).sum(1)
    at = np.clip(uv * size - 0.5, 0, size - 1.001)
    first = at.astype(int)
    right, down = (at - first).T.astype(np.float32)
    column, row = first.T
    rows = (np.asarray(maps, np.float32).transpose(0, 2, 3, 1)[:, row + i, column + j] for i in (0, 1) for j in (0, 1))
    shares = ((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right)
    found = sum(value * weight[:, None] for value, weight in zip(rows, shares, strict=True))
    return np.where(np.asarray(on_chart)[:, None], found, np.nan).astype(np.float32)
