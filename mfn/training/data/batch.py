"""What the data modules hand to the training systems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mfn.training.data.scenes import Scene

TARGET_FIELDS = ("box", "rotation", "scale", "center", "identity", "expression")

CropTargets = dict[str, Tensor]
"""Targets of B crops: PARAMETER_FIELDS (`mfn.structures.cells`) in px of the crop."""

CropBatch = tuple[Tensor, CropTargets]
"""Crops (B, 3, CROP_SIZE, CROP_SIZE) uint8 RGB and their targets."""


class Batch(NamedTuple):
    """B scenes with M faces in all, sorted by scene. The fields of the faces are those of `Faces`, in px of the scene.

    Attributes:
        picture: (B, 3, S, S) uint8 RGB.
        image: (M,) long, the scene of each face.
        has_labels: (M,) bool, True if pose, identity and expression are labels; else only the box is.
        box: (M, 4).
        rotation: (M, 3, 3).
        scale: (M,).
        center: (M, 2).
        identity: (M, I).
        expression: (M, 51).
        ignore_box: (Q, 4) regions without a target.
        ignore_image: (Q,) long, the scene of each region.
        hand_drawn: (B,) bool, True if all faces of the scene come from packs with hand-drawn boxes.
    """

    picture: Tensor
    image: Tensor
    has_labels: Tensor
    box: Tensor
    rotation: Tensor
    scale: Tensor
    center: Tensor
    identity: Tensor
    expression: Tensor
    ignore_box: Tensor
    ignore_image: Tensor
    hand_drawn: Tensor


def collate(scenes: Sequence[Scene]) -> Batch:
    """Collect scenes of the same size into a batch."""
    pictures = np.stack([s.picture for s in scenes]).transpose(0, 3, 1, 2)
    fields = {f: torch.from_numpy(np.concatenate([getattr(s.faces, f) for s in scenes])) for f in TARGET_FIELDS}
    return Batch(
        picture=torch.from_numpy(np.ascontiguousarray(pictures)),
        image=_numbers([len(s.faces) for s in scenes]),
        has_labels=torch.from_numpy(np.concatenate([s.has_labels for s in scenes])),
        ignore_box=torch.from_numpy(np.concatenate([s.ignore_box for s in scenes]).astype(np.float32)),
        ignore_image=_numbers([len(s.ignore_box) for s in scenes]),
        hand_drawn=torch.tensor([s.hand_drawn for s in scenes]),
        **fields,
    )


def _numbers(counts: Sequence[int]) -> Tensor:
    """Return the number of each scene, repeated by its count: (2, 1) becomes (0, 0, 1)."""
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
