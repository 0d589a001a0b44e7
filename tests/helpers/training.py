"""Tiny networks, scenes, faces and packs for the tests of networks and training."""

from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from mfn.models.backbone import Backbone
from mfn.models.dense_landmarks import BranchDenseLandmarks, DenseLandmarks
from mfn.models.mfn import MFN
from mfn.models.position_map import PositionMap
from mfn.models.sfn import SFN, BranchRegressor, Regressor
from mfn.structures.cells import (
    IDENTITY_SIZE,
    PARAMETER_FIELDS,
    PARAMETERS,
    rotation_from_rows,
)
from mfn.structures.crop_geometry import CROP_CELLS, CROP_SIZE
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.training.data.scenes import Scene
from mfn.training.packs.reader import Pack
from retarget.arkit import EXPRESSION_NAMES
from tests.helpers.faces import write_cells

MODEL = HeadModel.load()


def tiny_mfn(block: str = "conv", refinement_channels: int = 0) -> MFN:
    """Make a multi-face network with few channels and always the same random weights."""
    torch.manual_seed(0)
    return MFN(Backbone(block, [8, 8, 16, 16, 16], [0, 0, 1, 0, 0]), (16, 16), (16, 16), refinement_channels=refinement_channels)


def first_batches(data: Any, rank: int, done: int) -> list[torch.Tensor]:
    """Return the pictures of the first four batches that process `rank` draws where a training has had `done` batches."""
    progress = SimpleNamespace(total=SimpleNamespace(completed=done))
    data.trainer = SimpleNamespace(global_rank=rank, fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)))
    batches = [batch.picture for batch in islice(data.train_dataloader(), 4)]
    data.trainer = None
    return batches


def two_face_scene(seed: int = 0, side: int = 128) -> Scene:
    """Make a scene with two bright rectangles as faces."""
    rng = np.random.default_rng(seed)
    faces = Faces(
        image=np.zeros(2),
        box=np.zeros((2, 4)),
        score=np.ones(2),
        rotation=np.tile(np.diag([1.0, -1, -1]), (2, 1, 1)),
        scale=[250.0, 330.0],
        center=[[35.0, 40], [90, 80]],
        identity=rng.normal(size=(2, IDENTITY_SIZE)),
        expression=rng.uniform(0, 0.5, (2, len(EXPRESSION_NAMES))),
        track=[-1, -1],
    )
    faces = faces.replace(box=MODEL.boxes(faces))
    picture = rng.integers(0, 60, (side, side, 3)).astype(np.uint8)
    for x1, y1, x2, y2 in faces.box.astype(int).clip(0, side):
        picture[y1:y2, x1:x2] += 150
    return Scene(picture, faces, np.ones(2, bool), np.zeros((0, 4), np.float32))


def tiny_backbone(block: str = "conv") -> Backbone:
    """Make a backbone with few channels."""
    return Backbone(block, [8, 8, 16, 16, 16], [0, 0, 0, 0, 0])


def tiny_crop_networks() -> dict:
    """Make one small network of each kind that reads a crop."""
    torch.manual_seed(0)
    return {
        "sfn": SFN(tiny_backbone(), 16, 16),
        "fire": SFN(tiny_backbone("fire"), 16, 16),
        "single scale": SFN(tiny_backbone(), 16, 16, multi_scale=False),
        "regressor": Regressor(tiny_backbone()),
        "branch regressor": BranchRegressor(tiny_backbone(), 16, 16),
        "compact regressor": Regressor(tiny_backbone(), compact=True),
        "compact branch regressor": BranchRegressor(tiny_backbone(), 16, 16, compact=True),
        "position map": PositionMap(tiny_backbone(), (16, 16, 8, 8), 16),
        "dense": DenseLandmarks(0.25),
        "branch dense": BranchDenseLandmarks(tiny_backbone(), 16, 16),
    }


def crop_faces(count: int = 3, seed: int = 0) -> Faces:
    """Make faces in px of a crop."""
    from mfn.structures.camera import FRONTAL
    from retarget.geometry.rotations import rotation_about

    rng = np.random.default_rng(seed)
    turn = [rotation_about("y", np.float32(a)) @ rotation_about("x", np.float32(b)) @ FRONTAL for a, b in rng.normal(0, 0.4, (count, 2))]
    faces = Faces(
        image=np.zeros(count),
        box=np.zeros((count, 4)),
        score=np.ones(count),
        rotation=np.stack(turn),
        scale=rng.uniform(500, 650, count),
        center=rng.uniform(55, 75, (count, 2)),
        identity=rng.normal(size=(count, IDENTITY_SIZE)),
        expression=rng.uniform(0.01, 0.5, (count, len(EXPRESSION_NAMES))),
        track=np.full(count, -1),
    )
    return faces.replace(box=MODEL.boxes(faces))


def targets_of(faces: Faces) -> dict:
    """Return the targets of faces in crops."""
    return {name: torch.from_numpy(getattr(faces, name)) for name in PARAMETER_FIELDS}


def exact_parameters(faces: Faces) -> torch.Tensor:
    """Return the raw parameters that decode to these faces."""
    center = np.full((len(faces), 2), CROP_SIZE / 2, np.float32)
    stride = np.full(len(faces), CROP_SIZE / CROP_CELLS, np.float32)
    return torch.from_numpy(write_cells(faces, center, stride)[:, PARAMETERS])


def crop_packs() -> list[Pack]:
    """Make a pack of four labeled faces in noise."""
    rng = np.random.default_rng(0)
    faces = crop_faces(4)
    faces = faces.replace(image=np.arange(4), center=faces.center + 40, box=faces.box + 40)
    pictures = [rng.integers(0, 255, (200, 210, 3)).astype(np.uint8) for _ in range(4)]
    none = np.zeros((0, 4), np.float32)
    return [Pack("p", pictures, faces, np.ones(4, bool), none, np.zeros(0, np.int32))]


def landmark_boxes(faces: Faces) -> np.ndarray:
    """Return the bounds (N, 4) of the 68 landmarks."""
    points = MODEL.landmarks(faces, "ibug68")[..., :2]
    return np.concatenate([points.min(1), points.max(1)], 1)


def random_faces(count: int, seed: int = 0) -> Faces:
    """Make nearly frontal faces in px of a picture."""
    rng = np.random.default_rng(seed)
    frontal = np.array([1, 0, 0, 0, -1, 0.0])
    faces = Faces(
        image=np.arange(count),
        box=np.zeros((count, 4)),
        score=np.ones(count),
        rotation=rotation_from_rows(frontal + 0.3 * rng.normal(size=(count, 6)), np),
        scale=rng.uniform(300, 600, count),
        center=rng.uniform(80, 120, (count, 2)),
        identity=rng.normal(size=(count, MODEL.identity_size)),
        expression=rng.uniform(0, 0.6, (count, len(EXPRESSION_NAMES))),
        track=np.full(count, -1),
    )
    return faces.replace(box=landmark_boxes(faces))


def transform_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Transform points (..., 2) by an affine matrix (2, 3)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def spot_pack() -> Pack:
    """Gray pictures in which each "face" is a white square that fills its box."""
    pictures, boxes = [], []
    for _ in range(6):
        picture = np.full((200, 220, 3), 60, np.uint8)
        picture[70:130, 80:140] = 255
        pictures.append(picture)
        boxes.append([80, 70, 140, 130])
    faces = random_faces(6).replace(box=np.array(boxes, np.float32), image=np.arange(6))
    return Pack("spots", pictures, faces, np.zeros(6, bool), np.zeros((0, 4), np.float32), np.zeros(0, np.int32))
