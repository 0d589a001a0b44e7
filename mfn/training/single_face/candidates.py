"""Candidates: what a multi-face network took for faces. The face reader learns from them which are faces, and where their boxes lie.

`experiments/data_generation/candidates.py` collects them. Letters: N candidates, B crops in a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from mfn.models.readers.face_reader import FaceReader
from mfn.structures.crop_geometry import CROP_CELLS, cut_crops
from mfn.training.data.workers import check_counts, endless_loader
from mfn.training.packs.reader import held_out, read_pictures
from retarget.io.files import atomic_write
from retarget.io.images import Image

CROP_SIDE_PX = FaceReader.crop_size_px
FACE_SHARE = 0.5  # of a batch
EMPTY_SHARE = 0.5  # of those that are no faces, at least, from photos without faces: in photos of crowds some faces have no hand-drawn box
ROLL_STD_RAD, LOG_ZOOM_STD, SHIFT_STD = 0.12, 0.1, 0.03  # of the crop around a candidate; the shift in sides of the crop
LOW_RESOLUTION_SHARE, LOWEST_RESOLUTION = 0.25, 0.2  # such a share of the crops is shown with fewer px, down to a fifth of the side


_MAKER = "python -m experiments.data_generation.candidates"


class Candidates(NamedTuple):
    """N candidates.

    Attributes:
        picture: (N,) number of the photo in its tar file.
        source: (N,) 0 for photos of crowds, 1 for photos without faces.
        shrink: (N, 2) width and height of the copy in which it was found, relative to the photo.
        score: (N,) probability by the multi-face network.
        true_box: (N, 4) hand-drawn box, x1 y1 x2 y2 px of the photo; zeros where there is no face.
        is_face: (N,) bool.
        matrix: (N, 2, 3) affine map from px of the photo to px of the upright crop.
    """

    picture: NDArray[np.int64]
    source: NDArray[np.int64]
    shrink: NDArray[np.float64]
    score: NDArray[np.float32]
    true_box: NDArray[np.float64]
    is_face: NDArray[np.bool_]
    matrix: NDArray[np.float64]


def select(candidates: Candidates, rows: NDArray[Any]) -> Candidates:
    """Return some of the candidates."""
    return Candidates(**{name: values[rows] for name, values in candidates._asdict().items()})


class CandidateBatch(NamedTuple):
    """B crops.

    Attributes:
        picture: (B, 3, S, S) uint8 RGB.
        is_face: (B,) float32, 1 or 0.
        box: (B, 4) raw values of the cell that covers the crop (`mfn.structures.cells`); without meaning where there is no face.
    """

    picture: Tensor
    is_face: Tensor
    box: Tensor


def write_candidates(path: Path, candidates: Candidates) -> None:
    """Write candidates to an .npz file, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **candidates._asdict())

    atomic_write(path, write)


def read_candidates(path: Path) -> Candidates:
    """Read the file of `write_candidates`.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is of an older version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; make it with {_MAKER} --out {path}")
    with np.load(path) as file:
        found = Candidates(**{name: file[name] for name in Candidates._fields})
    if found.shrink.ndim != 2:
        raise ValueError(f"{path}: a file of an older version, without squeezed photos; make it again with {_MAKER} --out {path}")
    return found


def jitter(matrix: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Turn, zoom, shift and mirror crops at random.

    Args:
        matrix: (B, 2, 3) affine maps from px of the photo to px of the crop.
        rng: Source of the random numbers.

    Returns:
        (B, 2, 3) the changed maps.
    """
    count = len(matrix)
    roll, zoom = rng.normal(0, ROLL_STD_RAD, count), np.exp(rng.normal(0, LOG_ZOOM_STD, count))
    turn = zoom[:, None, None] * np.stack([np.cos(roll), -np.sin(roll), np.sin(roll), np.cos(roll)], 1).reshape(-1, 2, 2)
    turn[:, :, 0] *= rng.choice([-1, 1], count)[:, None]
    middle = np.array([CROP_SIDE_PX / 2] * 2)
    shift = middle + rng.normal(0, SHIFT_STD * CROP_SIDE_PX, (count, 2)) - turn @ middle
    out = turn @ matrix
    out[:, :, 2] += shift
    return np.asarray(out)


def box_targets(box: NDArray[np.float64], matrix: NDArray[np.float64], shrink: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the raw values of boxes for the cells that cover the crops.

    Args:
        box: (B, 4) in px of the photo.
        matrix: (B, 2, 3) affine maps from px of the photo to px of the crop.
        shrink: (B, 2) width and height of the copy of the photo, relative to the photo. The crop shows the copy, and so do the values.

    Returns:
        (B, 4).
    """
    box, linear = box * np.tile(shrink, (1, 2)), matrix[:, :, :2] / shrink[:, None]
    gain = np.sqrt(np.abs(np.linalg.det(linear)))[:, None]
    center = np.einsum("nij,nj->ni", linear, (box[:, :2] + box[:, 2:]) / 2) + matrix[:, :, 2]
    size = np.maximum(box[:, 2:] - box[:, :2], 1e-3) * gain
    offset = (center - CROP_SIDE_PX / 2) * CROP_CELLS / CROP_SIDE_PX
    return np.concatenate([offset, np.log(size / CROP_SIDE_PX)], 1).astype(np.float32)


def cut_at_resolution(picture: Image, matrix: NDArray[np.float64], side_px: int) -> Image:
    """Cut a crop (S, S, 3) that shows no more than `side_px` px of the picture along its side. `matrix`: (2, 3)."""
    side_px = min(max(side_px, 4), CROP_SIDE_PX)
    crop = cut_crops(picture, matrix[None] * (side_px / CROP_SIDE_PX), side_px)[0]
    return np.asarray(cv2.resize(crop, (CROP_SIDE_PX, CROP_SIDE_PX), interpolation=cv2.INTER_LINEAR), np.uint8)


class CandidateBatches(IterableDataset[CandidateBatch]):
    """Batches of crops of candidates. `draw` chooses and changes them at random; an iteration gives each candidate once, as it is.

    Args:
        candidates: The candidates.
        pictures: The photos of each source.
        batch_size: B.
    """

    def __init__(self, candidates: Candidates, pictures: list[list[Image]], batch_size: int) -> None:
        self.candidates, self.pictures, self.batch_size = candidates, pictures, batch_size
        others = ~candidates.is_face
        self.faces, self.others = np.flatnonzero(candidates.is_face), np.flatnonzero(others)
        self.empty = np.flatnonzero(others & (candidates.source == 1))

    def __iter__(self) -> Iterator[CandidateBatch]:
        rows = np.arange(len(self.candidates.score))
        yield from (self._batch(rows[i : i + self.batch_size]) for i in range(0, len(rows), self.batch_size))

    def draw(self, rng: np.random.Generator) -> CandidateBatch:
        """Draw a batch, half of it faces. Crops are jittered, and some are shown with fewer px."""
        faces = round(FACE_SHARE * self.batch_size)
        empty = round(EMPTY_SHARE * (self.batch_size - faces)) if len(self.empty) else 0
        parts = ((self.faces, faces), (self.empty, empty), (self.others, self.batch_size - faces - empty))
        return self._batch(np.concatenate([rng.choice(rows, count) for rows, count in parts if count]), rng)

    def _batch(self, rows: NDArray[np.int64], rng: np.random.Generator | None = None) -> CandidateBatch:
        """Return the crops of some candidates. `rng`: changes them at random."""
        part = select(self.candidates, rows)
        matrix = part.matrix if rng is None else jitter(part.matrix, rng)
        sides = np.ceil(CROP_SIDE_PX * np.sqrt(part.shrink.prod(1)) / np.sqrt(np.abs(np.linalg.det(matrix[:, :, :2]))))
        if rng is not None:
            low = rng.random(len(rows)) < LOW_RESOLUTION_SHARE
            sides = np.where(low, np.minimum(sides, CROP_SIDE_PX * rng.uniform(LOWEST_RESOLUTION, 0.7, len(rows))), sides)
        photos = [self.pictures[s][p] for s, p in zip(part.source.tolist(), part.picture.tolist(), strict=True)]
        crops = np.stack([cut_at_resolution(p, m, int(s)) for p, m, s in zip(photos, matrix, sides, strict=True)])
        return CandidateBatch(
            torch.from_numpy(crops.transpose(0, 3, 1, 2).copy()),
            torch.from_numpy(part.is_face.astype(np.float32)),
            torch.from_numpy(box_targets(part.true_box, matrix, part.shrink)),
        )


class CandidateData(LightningDataModule):
    """Crops of candidates.

    Args:
        candidates: File of `experiments/data_generation/candidates.py`.
        scenes: Tar file of the photos of crowds.
        backgrounds: Tar file of the photos without faces.
        batch_size: B.
        workers: Processes that cut crops.
        seed: Of the random choices.

    Every 50th photo of the file is for validation (`mfn.training.packs.reader.held_out`, counted among the photos with candidates).
    """

    def __init__(self, candidates: Path, scenes: Path, backgrounds: Path, batch_size: int = 192, workers: int = 1, seed: int = 0) -> None:
        super().__init__()
        check_counts(batch_size=batch_size)
        self.files, self.batch_size, self.workers, self.seed = (candidates, scenes, backgrounds), batch_size, workers, seed

    def setup(self, stage: str | None = None) -> None:
        """Read the candidates and the photos."""
        path, scenes, backgrounds = self.files
        found = read_candidates(path)
        pictures = [read_pictures(scenes), read_pictures(backgrounds)]
        photos, place = np.unique(np.stack([found.source, found.picture]), axis=1, return_inverse=True)
        held = held_out(photos.shape[1])[place]
        self.train, self.val = (CandidateBatches(select(found, rows), pictures, self.batch_size) for rows in (~held, held))

    def train_dataloader(self) -> DataLoader[CandidateBatch]:
        """Return batches without end; processes of a distributed training draw different ones."""
        return endless_loader(self.train.draw, self.seed, self.workers, self.trainer)

    def val_dataloader(self) -> DataLoader[CandidateBatch]:
        """Return each held-out candidate once. Every process of a distributed training reads all of them."""
        return DataLoader(self.val, batch_size=None)

    test_dataloader = val_dataloader
