"""Crops of single faces without end, for the single-face networks: turned, mirrored, shifted and scaled around the box, half hidden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from mfn.structures.cells import PARAMETER_FIELDS
from mfn.structures.crop_geometry import CROP_SIZE, crop_face, crop_windows
from mfn.structures.faces import Faces
from mfn.structures.flip import hflip_faces, hflip_picture
from mfn.structures.head_model import HeadModel
from mfn.training.data.augment import hide, patch_look, scene_look
from mfn.training.data.packs import Pack, pack_place, read_pack, read_pictures
from mfn.training.data.scene_datamodule import limit_threads
from mfn.training.data.scenes import expression_odds, similarity
from retarget.io.images import Picture

SMALLEST_PX = 28.0  # of a face's longer side: of a smaller one there is little to learn
TURN, SHIFT, GAIN = 0.21, 0.05, 0.09  # standard deviations: radians, in parts of the crop's side, of the logarithm
WIDE_TURN = 0.8  # radians: one crop in five is turned up to so far

Truth = dict[str, Tensor]


class CropMaker:
    """Draws crops of the known faces of packs.

    weights: one a pack, how often it is drawn; frames: crops in a row that show one face while it moves.
    """

    def __init__(
        self, packs: Sequence[Pack], weights: Sequence[float], backgrounds: Sequence[Picture], model: HeadModel, frames: int = 1
    ) -> None:
        self.packs, self.backgrounds, self.frames = packs, backgrounds, frames
        self.identity_mirror, self.box_of = model.identity_mirror, model.boxes
        self.rows = [np.flatnonzero(p.known & ((p.faces.box[:, 2:] - p.faces.box[:, :2]).max(1) >= SMALLEST_PX)) for p in packs]
        there = np.array([len(rows) > 0 for rows in self.rows])
        if not there.any():
            raise ValueError("expected packs with labelled faces of at least 28 px, got none: make labels with experiments/labels/fit.py")
        self.share = np.asarray(weights, float) * there / (np.asarray(weights, float) * there).sum()
        self.odds = [np.cumsum(expression_odds(p.faces.expression[r])) for p, r in zip(packs, self.rows, strict=True)]

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Tensor, Truth]:
        """`size` crops (size, 3, S, S) uint8 and what is true of them, in their px."""
        pictures: list[Picture] = []
        rows: list[Faces] = []
        while len(pictures) < size:
            for picture, face in self._draw(rng):
                pictures.append(picture)
                rows.append(face)
        faces = Faces.concatenate(rows[:size])
        crops = torch.from_numpy(np.stack(pictures[:size]).transpose(0, 3, 1, 2).copy())
        return crops, {name: torch.from_numpy(getattr(faces, name)) for name in PARAMETER_FIELDS}

    def _draw(self, rng: np.random.Generator) -> Iterator[tuple[Picture, Faces]]:
        number = int(rng.choice(len(self.packs), p=self.share))
        pack, odds = self.packs[number], self.odds[number]
        face = pack.faces[[self.rows[number][np.searchsorted(odds, rng.random() * odds[-1])]]]
        picture = pack.pictures[int(face.image[0])]
        if rng.random() < 0.5:
            face = hflip_faces(face, picture.shape[1], self.identity_mirror)
            picture = hflip_picture(picture)
        angle = rng.uniform(-WIDE_TURN, WIDE_TURN) if rng.random() < 0.2 else rng.normal(0, TURN)
        state = rng.normal(0, 1, 3)  # where the box stands beside the face, and how large
        speed = rng.normal(0, 0.25, 4)
        picture = patch_look(picture, rng) if self.frames > 1 else picture  # a clip has one light
        for _ in range(self.frames):
            yield self._crop(picture, face, angle, state, rng)
            state, angle = state + speed[:3], angle + 0.06 * speed[3]

    def _crop(self, picture: Picture, face: Faces, angle: float, state: np.ndarray, rng: np.random.Generator) -> tuple[Picture, Faces]:
        """A crop as it would be crop_face for the turned face's own box, less exactly."""
        turned = turn_faces(face, angle)
        window = crop_windows(self.box_of(turned))[0]
        side = window[2] * np.exp(GAIN * state[2])
        middle = window[:2] + SHIFT * state[:2] * side
        gain = CROP_SIZE / side
        pivot = face.center[0].astype(float)
        matrix = similarity(gain, angle, pivot, gain * (pivot - middle) + CROP_SIZE / 2, False, 0)
        # a black border tells where a tight picture's face is; a photo's does so less
        crop = crop_face(picture, matrix, self._photo(rng) if rng.random() < 0.6 else None)
        crop = patch_look(crop, rng) if self.frames == 1 else crop
        if rng.random() < 0.25:
            hide(crop, self._photo(rng), rng)
        crop = scene_look(lower_resolution(crop, rng), rng)
        center = (turned.center - middle) * gain + CROP_SIZE / 2
        return crop, turned.replace(center=center.astype(np.float32), scale=turned.scale * np.float32(gain))

    def _photo(self, rng: np.random.Generator) -> Picture:
        """A piece (S, S, 3) of a photo without faces."""
        import cv2

        photo = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        top, left = (int(rng.integers(max(side - CROP_SIZE, 1))) for side in photo.shape[:2])
        piece = photo[top : top + CROP_SIZE, left : left + CROP_SIZE]
        return cv2.resize(piece, (CROP_SIZE, CROP_SIZE)) if piece.shape[:2] != (CROP_SIZE, CROP_SIZE) else piece.copy()


def turn_faces(faces: Faces, angle: float) -> Faces:
    """Faces after the picture was turned about their own centres, radians, clockwise as seen."""
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
    return faces.replace(rotation=turn @ faces.rotation)


def lower_resolution(crop: Picture, rng: np.random.Generator) -> Picture:
    """One crop in three is seen from further away: shrunk to a face of 20 px and more, and enlarged again."""
    import cv2

    if rng.random() > 0.33:
        return crop
    small = int(crop.shape[0] * np.exp(rng.uniform(np.log(0.22), np.log(0.9))))
    method = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA), crop.shape[1::-1], interpolation=method))


class _Batches(IterableDataset):
    """Batches for ever; every worker and every epoch draws its own."""

    def __init__(self, maker: CropMaker, size: int, seed: int) -> None:
        self.maker, self.size, self.seed = maker, size, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Truth]]:
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, info.seed if info else torch.initial_seed()])
        while True:
            yield self.maker.batch(self.size, rng)


class _Same(IterableDataset):
    """The same few batches each time."""

    def __init__(self, maker: CropMaker, size: int, count: int) -> None:
        self.maker, self.size, self.count = maker, size, count

    def __iter__(self) -> Iterator[tuple[Tensor, Truth]]:
        rng = np.random.default_rng(7)
        for _ in range(self.count):
            yield self.maker.batch(self.size, rng)


class Crops(LightningDataModule):
    """Crops of the labelled faces of packs.

    Args:
        folder, labels, sources: as of `mfn.training.data.scene_datamodule.Scenes`.
        batch_size: crops in a batch.
        frames: crops in a row that show one face moving in the picture's plane, as 3DDFA_V2's short videos do; 1 for none.
        workers: processes that crop_face crops.
        validation: number of fixed batches, of one picture in fifty of each pack, left out of training.
        seed: of the training crops.
    """

    def __init__(  # noqa: PLR0913  # each is a knob of the YAML
        self,
        folder: Path,
        labels: Path,
        sources: dict[str, float],
        batch_size: int = 128,
        frames: int = 1,
        workers: int = 1,
        validation: int = 6,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.folder, self.labels, self.sources = Path(folder), Path(labels), sources
        self.batch_size, self.frames, self.workers = batch_size, frames, workers
        self.validation, self.seed = validation, seed
        self._makers: dict[str, CropMaker] | None = None

    def setup(self, stage: str | None = None) -> None:
        """Decodes every picture into memory, once."""
        if self._makers is not None:
            return
        model = HeadModel.load()
        backgrounds = read_pictures(self.folder / "backgrounds.tar", every=4)
        packs = [read_pack(*pack_place(self.folder, self.labels, name)) for name in self.sources]
        weights = list(self.sources.values())
        held = [np.arange(len(p.pictures)) % 50 == 0 for p in packs]

        def maker(parts: list[Pack], frames: int) -> CropMaker:
            return CropMaker(parts, weights, backgrounds, model, frames)

        self._makers = {
            "fit": maker([p.only(~h) for p, h in zip(packs, held, strict=True)], self.frames),
            "validate": maker([p.only(h) for p, h in zip(packs, held, strict=True)], 1),
        }

    def train_dataloader(self) -> DataLoader:
        """Batches without end."""
        assert self._makers is not None
        rank = self.trainer.global_rank if self.trainer else 0  # processes that share a seed would train on the same crops
        return self._loader(_Batches(self._makers["fit"], self.batch_size, self.seed + 1000 * rank), self.workers)

    def val_dataloader(self) -> DataLoader:
        """The fixed crops."""
        assert self._makers is not None
        return self._loader(_Same(self._makers["validate"], self.batch_size, self.validation), 0)

    def test_dataloader(self) -> DataLoader:
        """The fixed crops: photos made for evaluation are measured by `experiments/`."""
        return self.val_dataloader()

    def _loader(self, dataset: IterableDataset, workers: int) -> DataLoader:
        context = "fork" if workers else None  # forked workers share the decoded pictures; a spawned one would copy them
        prefetch = 4 if workers else None
        return DataLoader(
            dataset,
            batch_size=None,
            num_workers=workers,
            multiprocessing_context=context,
            prefetch_factor=prefetch,
            worker_init_fn=limit_threads,
        )
