"""Losses of MFN: functions of tensors. P pairs of a predicted and a true face, L landmarks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def box_iou_pairs(a: Tensor, b: Tensor) -> Tensor:
    """Overlap of row i of a with row i of b. a, b: (P, 4) x1 y1 x2 y2 -> (P,) in [0, 1]"""
    low = torch.maximum(a[:, :2], b[:, :2])
    high = torch.minimum(a[:, 2:], b[:, 2:])
    inter = (high - low).clamp(min=0).prod(1)
    areas = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1)
    return inter / (areas - inter).clamp(min=1e-6)


def giou_loss(predicted: Tensor, true: Tensor) -> Tensor:
    """1 - generalised IoU (Rezatofighi et al., CVPR 2019). predicted, true: (P, 4) -> (P,)"""
    iou = box_iou_pairs(predicted, true)
    areas = (predicted[:, 2:] - predicted[:, :2]).prod(1) + (true[:, 2:] - true[:, :2]).prod(1)
    union = areas / (1 + iou)  # since iou = inter / union and areas = union + inter
    hull = torch.maximum(predicted[:, 2:], true[:, 2:]) - torch.minimum(predicted[:, :2], true[:, :2])
    hull = hull.clamp(min=1e-6).prod(1)
    return 1 - iou + (hull - union) / hull


def quality_focal_loss(logit: Tensor, quality: Tensor, weight: Tensor, gamma: float = 2.0) -> Tensor:
    """Binary cross entropy towards a soft target, hard cells weighted up (Li et al., NeurIPS 2020, eq. 5). Summed.

    logit, quality, weight: same shape; quality is the IoU of a responsible cell's box and 0 elsewhere (the YOLO meaning of confidence).
    """
    gap = (quality - logit.sigmoid()).abs().pow(gamma)
    return (F.binary_cross_entropy_with_logits(logit, quality, reduction="none") * gap * weight).sum()


def rotation_loss(rows: Tensor, true: Tensor) -> Tensor:
    """L1 on the first two rows of the rotation as they leave the network, before they are made orthonormal. (P, 6), (P, 3, 3) -> (P,)

    The MFN paper's L1 on R, except that a loss on the orthonormal R leaves the rows' length free: it grew to five within 4,000 steps, and
    with it the way a row has to go to turn, until pitch was not learned at all (slope 0.05 of the true one, yaw 0.92).
    """
    return (rows - true[:, :2].flatten(1)).abs().sum(1) / 2


def landmark_loss(predicted: Tensor, true: Tensor, size: Tensor, weight: Tensor) -> Tensor:
    """L2 distance of projected landmarks in parts of the face's size. (P, L, 2), (P, L, 2), (P,), (L,) -> (P,)"""
    distance = ((predicted - true).square().sum(-1) + 1e-8 * size[:, None].square()).sqrt() / size[:, None]
    return (distance * weight).sum(1) / weight.sum()


def expression_loss(predicted: Tensor, true: Tensor) -> Tensor:
    """L1 on weights in [0, 1], shapes that are active counted up: most are zero most of the time. (P, 51) -> (P,)"""
    return ((predicted - true).abs() * (1 + 2 * true)).mean(1)


def gap_loss(predicted: Tensor, true: Tensor, pairs: Tensor) -> Tensor:
    """L1 on how lids and lips stand to each other, in cm of the head: what a landmark loss hardly sees and an eye sees first.

    predicted, true: (P, L, 3) metres in the head's frame; pairs: (G, 2) long -> (P,)
    """
    there = (predicted[:, pairs[:, 0]] - predicted[:, pairs[:, 1]]) - (true[:, pairs[:, 0]] - true[:, pairs[:, 1]])
    return 100 * there.abs().sum(-1).mean(1)


def vdc_loss(predicted: Tensor, true: Tensor) -> Tensor:
    """Vertex distance cost of 3DDFA (Zhu et al., CVPR 2016, eq. 6): mean squared distance. (P, L, 2 or 3) in crop sides -> (P,)"""
    return (predicted - true).square().sum(-1).mean(1)


def wpdc_loss(predicted: Tensor, true: Tensor, effect: Tensor) -> Tensor:
    """Weighted parameter distance cost (Zhu et al., CVPR 2016, eqs. 7 and 8): what moves vertices further counts more.

    The published weight of a parameter is how far the vertices of the true face move when it alone takes its predicted value. In each
    parameter alone the vertices are linear, so that is its error times `effect`. The weights are divided by the largest, as published,
    and no gradient goes through them.
    predicted, true: (P, K); effect: (P, K) or (K,), how far one unit of each parameter moves the vertices -> (P,)
    """
    error = predicted - true
    weight = (error.abs() * effect).detach()
    weight = weight / weight.amax(1, keepdim=True).clamp(min=1e-12)
    return (weight * error.square()).sum(1)


def wing_loss(predicted: Tensor, true: Tensor, width: float = 10.0, bend: float = 2.0) -> Tensor:
    """Wing loss (Feng et al., CVPR 2018, eq. 5): logarithmic below `width`, linear above. (P, L, C) px -> (P,)"""
    error = (predicted - true).abs()
    shift = width - width * torch.log(torch.tensor(1 + width / bend))
    return torch.where(error < width, width * torch.log1p(error / bend), error - shift).mean((1, 2))
