"""`SingleFace`: predict the parameters or landmarks of one face per crop, with ONNX Runtime.

`Predictor` finds all faces of a picture in one pass, and then reads each once more in a crop. This has no such pass: it reads the faces in
given boxes, one crop for each, so that all its time grows with their number.
Letters: N boxes, S = `CROP_SIZE`, L landmarks, M side of a position map.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfn.inference.model_zoo import SINGLE_FACE_WEIGHTS
from mfn.inference.sessions.devices import choose_providers
from mfn.inference.sessions.onnx_session import check_single_face, open_session, run
from mfn.structures.cells import read_parameters
from mfn.structures.crop_geometry import CROP_CELLS, CROP_SIZE, REACH, crop_face, crop_matrix, crop_windows
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel, default_head_model
from mfn.structures.network_metadata import NetworkKind
from retarget.io.images import Image, as_image

if TYPE_CHECKING:
    import onnxruntime
    from PIL.Image import Image as PillowImage

    from mfn.inference.sessions.devices import ProviderLike

    Source = str | os.PathLike[str] | bytes | NDArray[np.uint8] | PillowImage

_BATCH = 32


class SingleFace:
    """Reads given faces one by one.

        faces = mfn.SingleFace.load()("crowd.jpg", boxes)

    A network predicts one of three things: parameters (N, 124), dense landmarks (N, 520, 3) or a position map (N, 3, M, M).
    """

    def __init__(self, session: onnxruntime.InferenceSession, kind: NetworkKind = "parameters") -> None:
        """Wrap a session of ONNX Runtime. Most programs use `load` instead.

        Args:
            session: A network with input `image` (B, S, S, 3) uint8 RGB.
            kind: What the network predicts.
        """
        self.session = session
        self.kind = kind
        self.model = default_head_model()

    @classmethod
    def load(
        cls,
        weights: str | Path | None = None,
        *,
        threads: int = 0,
        device: str | None = None,
        providers: Sequence[ProviderLike] | None = None,
    ) -> SingleFace:
        """Load a network.

        Args:
            weights: An ONNX file made by `mfn export`. None: the shipped SFN.
            threads, device, providers: As for `Predictor.load`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not a single-face network, or if an option is not valid.
        """
        path = SINGLE_FACE_WEIGHTS if weights is None else Path(weights)
        session = open_session(path, threads, choose_providers(device, providers))
        return cls(session, check_single_face(path, session))

    def __call__(self, picture: Source, boxes: NDArray[Any]) -> Faces:
        """Predict the faces in boxes.

        Args:
            picture: A path, the bytes of an image file, a Pillow image, or an array (H, W, 3) uint8 RGB.
            boxes: (N, 4) x1 y1 x2 y2 in px of the picture.

        Returns:
            N faces in px of the picture, in the order of the boxes, score 1. `box` is computed from the predicted head.
        """
        if self.kind != "parameters":
            raise ValueError(f"expected a network that predicts parameters, this one is of kind {self.kind}; use `landmarks`")
        windows = self._windows(boxes)
        raw = self._run(as_image(picture), windows)
        center = np.full((len(raw), 2), CROP_SIZE / 2, np.float32)
        pred = read_parameters(raw, center, np.full(len(raw), CROP_SIZE / CROP_CELLS, np.float32))
        gain = windows[:, 2:] / CROP_SIZE
        faces = Faces(
            image=np.zeros(len(raw), np.int32),
            box=np.zeros((len(raw), 4), np.float32),
            score=np.ones(len(raw), np.float32),
            rotation=pred["rotation"],
            scale=pred["scale"] * gain[:, 0],
            center=(pred["center"] - CROP_SIZE / 2) * gain + windows[:, :2],
            identity=pred["identity"],
            expression=pred["expression"],
            track=np.full(len(raw), -1, np.int32),
        )
        return faces.replace(box=self.model.boxes(faces))

    def refine(self, picture: Source, faces: Faces) -> Faces:
        """Predict faces of one picture again, each from its own crop: `refined` is set. `image`, `score` and `track` are kept."""
        refined = np.ones(len(faces), np.bool_)
        return self(picture, faces.box).replace(image=faces.image, score=faces.score, track=faces.track, refined=refined)

    def landmarks(self, picture: Source, boxes: NDArray[Any], name: str = "ibug68") -> NDArray[np.float32]:
        """Predict landmarks of the faces in boxes, with a network of any of the three kinds.

        Args:
            picture: As for calling.
            boxes: (N, 4) x1 y1 x2 y2 in px of the picture.
            name: A landmark set of the head model. A network of dense landmarks has "dense520" and "ibug68" only.

        Returns:
            (N, L, 3): x y in px of the picture, and depth on the same scale; the zero of the depth is the network's.
        """
        if self.kind == "parameters":
            return self.model.landmarks(self(picture, boxes), name)
        windows = self._windows(boxes)
        raw = self._run(as_image(picture), windows)
        if self.kind == "dense":
            found = (raw - 0.5) * CROP_SIZE
            found = found if name == "dense520" else found[:, self._sparse_rows(name)]
        else:
            found = (sample_position_map(raw, self.model, name) * REACH - [0.5, 0.5, REACH / 2]).astype(np.float32) * CROP_SIZE
        gain = windows[:, None, 2:] / CROP_SIZE
        return np.asarray(found * gain + np.pad(windows[:, None, :2], ((0, 0), (0, 0), (0, 1))), np.float32)

    def _sparse_rows(self, name: str) -> NDArray[np.int64]:
        if name != "ibug68":
            raise ValueError(f'expected "dense520" or "ibug68" for a network of dense landmarks, got {name!r}')
        return nearest_points(self.model)

    def _windows(self, boxes: NDArray[Any]) -> NDArray[np.float32]:
        boxes = np.asarray(boxes, np.float32)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"boxes: expected shape (N, 4), x1 y1 x2 y2 in px, got {boxes.shape}")
        bad = ~np.isfinite(boxes).all(1) | (boxes[:, 2:] <= boxes[:, :2]).any(1)
        if bad.any():
            raise ValueError(f"boxes: expected finite numbers with x1 < x2 and y1 < y2, got {boxes[bad][0].tolist()}")
        return crop_windows(boxes)

    def _run(self, picture: Image, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on the crops of windows (N, 3), in batches."""
        if len(windows) == 0:
            shape = self.session.get_outputs()[0].shape[1:]
            return np.zeros((0, *shape), np.float32)
        parts = []
        for first in range(0, len(windows), _BATCH):
            crops = np.stack([crop_face(picture, crop_matrix(w)) for w in windows[first : first + _BATCH]])
            parts.append(run(self.session, {"image": crops}))
        return np.concatenate(parts)


def nearest_points(model: HeadModel) -> NDArray[np.int64]:
    """Return, for each of the 68 landmarks, the number (68,) of the nearest of the 520 on the mean head."""
    dense, sparse = (model.points(model.mean, name) for name in ("dense520", "ibug68"))
    return np.asarray(np.linalg.norm(sparse[:, None] - dense[None], axis=-1).argmin(1))


def sample_position_map(maps: NDArray[Any], model: HeadModel, name: str) -> NDArray[np.float32]:
    """Read landmarks from position maps by bilinear interpolation.

    Args:
        maps: (N, 3, M, M) position maps.
        model: The head model whose uv chart the maps use.
        name: A landmark set of the head model.

    Returns:
        (N, L, 3) in the unit of the maps. Landmarks that are not on the chart, such as those of the eyeballs, are NaN.
    """
    size = maps.shape[-1]
    vertex, share = model.landmark_sets[name]
    on_chart = model.uv[vertex].reshape(len(vertex), -1).min(1) >= 0
    uv = (model.uv[vertex] * share[..., None]).sum(1)
    at = np.clip(uv * size - 0.5, 0, size - 1.001)
    first = at.astype(int)
    right, down = (at - first).T.astype(np.float32)
    column, row = first.T
    corners = (np.asarray(maps, np.float32).transpose(0, 2, 3, 1)[:, row + i, column + j] for i in (0, 1) for j in (0, 1))
    weights = ((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right)
    found = sum(value * weight[:, None] for value, weight in zip(corners, weights, strict=True))
    return np.where(np.asarray(on_chart)[:, None], found, np.nan).astype(np.float32)
