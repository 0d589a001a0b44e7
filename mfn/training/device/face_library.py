"""The faces of all packs in one table, with the probability of each to be drawn."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.training.data.sampling import yaw_weights
from mfn.training.packs.reader import Pack
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image

CLEAR_WEIGHT = 0.35  # a shape with this weight or more is shown clearly
CLEAR_WINK = 0.5  # the same for the difference of the two blinks
COMMON_SHARE = 0.1  # a shape that this share of the faces shows has weight 1
MIN_SHARE = 0.002  # a shape that fewer faces show counts as if this share did
MAX_WEIGHT = 6.0


class FaceLibrary:
    """Hold the faces of several packs, sorted by picture.

    Args:
        packs: The packs.
        weights: How often each pack is drawn, relative to the others.

    Attributes:
        pictures: P pictures (H, W, 3) uint8 RGB.
        faces: M faces; `image` is the index in `pictures`.
        has_labels: (M,) bool, True if pose, identity and expression are labels; else only the box is.
        ignore_box: (Q, 4) x1 y1 x2 y2 px, regions that may be faces, sorted by picture.
        ignore_image: (Q,) index of the picture of each region.
        hand_drawn: (P,) bool, True for pictures of packs with hand-drawn boxes.
        first_face: (P + 1,) index of the first face of each picture.
        weights: (M,) how often each face is drawn, relative to the others.
    """

    def __init__(self, packs: Sequence[Pack], weights: Sequence[float]) -> None:
        self.pictures: list[Image] = []
        faces, labels, ignored, ignored_image, probability = [], [], [], [], []
        for pack, weight in zip(packs, weights, strict=True):
            start = len(self.pictures)
            self.pictures += pack.pictures
            faces.append(pack.faces.replace(image=pack.faces.image + start))
            labels.append(pack.has_labels)
            ignored.append(pack.ignore_box)
            ignored_image.append(pack.ignore_image + start)
            own = np.where(pack.has_labels, shape_weights(pack.faces.expression) * yaw_weights(pack.faces.rotation), 1.0)
            probability.append(weight * own / max(own.sum(), 1e-9))
        everyone = Faces.concatenate(faces)
        order = np.argsort(everyone.image, kind="stable")
        self.faces, self.has_labels = everyone[order], np.concatenate(labels)[order]
        self.weights = np.concatenate(probability)[order]
        self.first_face = np.searchsorted(self.faces.image, np.arange(len(self.pictures) + 1))
        self.hand_drawn: NDArray[np.bool_] = np.repeat([pack.hand_drawn for pack in packs], [len(pack.pictures) for pack in packs])
        image = np.concatenate(ignored_image).astype(np.int64)
        order = np.argsort(image, kind="stable")
        self.ignore_image, self.ignore_box = image[order], np.concatenate(ignored).astype(np.float32).reshape(-1, 4)[order]

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw indices (count,) of faces, with replacement."""
        steps = np.cumsum(self.weights)
        rows = np.searchsorted(steps, rng.random(count) * steps[-1])
        return np.asarray(rows.clip(max=len(steps) - 1), np.int64)

    def restrict(self, faces: NDArray[np.bool_]) -> FaceLibrary:
        """Return the same library from which only these faces (M,) are drawn.

        Raises:
            ValueError: None of the faces can be drawn.
        """
        other = copy.copy(self)
        other.weights = np.where(faces, self.weights, 0.0)
        if not other.weights.any():
            raise ValueError("sources: expected faces to train with, got none with labels and a size that this training reads")
        return other

    def large_enough(self, min_px: float) -> NDArray[np.bool_]:
        """Tell which faces (M,) have labels and a longer side of at least `min_px`."""
        return np.asarray(self.has_labels & ((self.faces.box[:, 2:] - self.faces.box[:, :2]).max(1) >= min_px))


def shape_weights(expression: NDArray[np.float32]) -> NDArray[np.float64]:
    """Weight faces by the rarest shape that they show clearly.

    Args:
        expression: (N, 51) in [0, 1].

    Returns:
        (N,) in [1, MAX_WEIGHT]. A difference of the two blinks counts as a shape of its own: winks are rare.

    A weight by the length of the whole expression favors strong smiles, which are common, over a jaw that moves sideways.
    """
    if not len(expression):
        return np.zeros(0)
    left, right = (expression[:, EXPRESSION_NAMES.index(f"eyeBlink{side}")] for side in ("Left", "Right"))
    shown = np.concatenate([expression / CLEAR_WEIGHT, (np.abs(left - right) / CLEAR_WINK)[:, None]], 1).clip(0, 1) ** 2
    rarity = np.sqrt(COMMON_SHARE / np.maximum(shown.mean(0), MIN_SHARE))
    return np.asarray(np.clip((shown * rarity).max(1), 1.0, MAX_WEIGHT), np.float64)
