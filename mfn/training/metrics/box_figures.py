"""Average precision and recall of detected boxes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from mfn.structures.boxes import box_iou

MIN_IOU = 0.5  # of a detection that counts as found
IGNORED_SHARE = 0.5  # a detection of which this share lies in an ignore region is neither right nor wrong
RECALLS = 101  # points of the curve, as COCO samples it

Boxes = NDArray[np.floating]


class BoxFigures(Metric):
    """Accumulate detections beside true boxes.

    Args:
        score: Score from which a face is reported, for the recall.

    `compute` returns, by name: box_ap50, the average precision at IoU 0.5 in percent; box_recall50, the share of the true boxes that are
    found at `score`, in percent. Both are left out where there are no true boxes.
    """

    full_state_update = False
    score: list[Tensor]
    hit: list[Tensor]
    targets: Tensor

    def __init__(self, score: float = 0.55) -> None:
        super().__init__()
        self.min_score = score
        self.add_state("score", [], dist_reduce_fx="cat")
        self.add_state("hit", [], dist_reduce_fx="cat")
        self.add_state("targets", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, target: Boxes, ignored: Boxes, found: Boxes, score: NDArray[np.floating]) -> None:
        """Add the boxes of one picture.

        Args:
            target: (N, 4) true boxes, x1 y1 x2 y2.
            ignored: (Q, 4) regions without a target.
            found: (M, 4) detected boxes.
            score: (M,) their scores.
        """
        order = np.argsort(-score, kind="stable")
        hit = match_boxes(target, found[order])
        counts = hit | (shares_inside(found[order], ignored) < IGNORED_SHARE)
        self.score.append(torch.from_numpy(score[order][counts].astype(np.float32)).to(self.device))
        self.hit.append(torch.from_numpy(hit[counts]).to(self.device))
        self.targets += len(target)

    def compute(self) -> dict[str, Tensor]:
        """Return the figures by name."""
        if self.targets == 0:
            return {}
        score, hit = (dim_zero_cat(part) if len(part) else torch.zeros(0) for part in (self.score, self.hit))
        order = score.argsort(descending=True, stable=True)
        score, hit = score[order], hit[order].double()
        right = hit.cumsum(0)
        recall = right / self.targets.to(right.device)
        precision = right / torch.arange(1, len(hit) + 1, device=hit.device)
        precision = precision.flip(0).cummax(0).values.flip(0) if len(precision) else precision
        points = torch.linspace(0, 1, RECALLS, dtype=torch.float64, device=hit.device)
        at = torch.searchsorted(recall, points - 1e-9)
        padded = torch.cat([precision, precision.new_zeros(1)])
        reported = hit[score >= self.min_score].sum() / self.targets.to(hit.device)
        return {"box_ap50": 100 * padded[at].mean().float(), "box_recall50": 100 * reported.float()}


def match_boxes(target: Boxes, found: Boxes) -> NDArray[np.bool_]:
    """Return (M,) True for the detections that are the best of a true box.

    Args:
        target: (N, 4).
        found: (M, 4), best score first.
    """
    hit, free = np.zeros(len(found), bool), np.ones(len(target), bool)
    if not len(target) or not len(found):
        return hit
    iou = box_iou(found, target)
    for row in range(len(found)):
        column = int(np.where(free, iou[row], -1).argmax())
        if free[column] and iou[row, column] >= MIN_IOU:
            hit[row], free[column] = True, False
    return hit


def shares_inside(boxes: Boxes, regions: Boxes) -> NDArray[np.floating]:
    """Return the largest share (M,) of each box (M, 4) that lies in one of the regions (Q, 4)."""
    if not len(regions):
        return np.zeros(len(boxes))
    low = np.maximum(boxes[:, None, :2], regions[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    area = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-6)
    return np.asarray((np.maximum(high - low, 0).prod(2) / area[:, None]).max(1))
