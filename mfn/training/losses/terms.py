"""Losses as functions of tensors. P pairs of a predicted and a target face, L landmarks."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from retarget.arkit import EXPRESSION_NAMES

MIN_SPREAD = 0.02  # a shape whose standard deviation in the batch is smaller has no reliable gain
RIDGE = 1e-4  # added to the variance
_MIN_WEIGHT = 1e-6  # weights nearer to 0 or 1 have the logarithm of this
GIOU_EPSILON = 1e-7  # added to areas that are divided by
LEFT = [i for i, name in enumerate(EXPRESSION_NAMES) if name.endswith("Left") and len(name) > len("mouthLeft")]
RIGHT = [EXPRESSION_NAMES.index(EXPRESSION_NAMES[i].removesuffix("Left") + "Right") for i in LEFT]


def paired_box_iou(pred: Tensor, target: Tensor) -> Tensor:
    """Compute the IoU of each predicted box with its own target box.

    Args:
        pred: (P, 4) x1 y1 x2 y2.
        target: (P, 4) x1 y1 x2 y2.

    Returns:
        (P,) in [0, 1].

    `torchvision.ops.box_iou` computes all P x P pairs, and P is in the thousands.
    """
    intersection, union = _intersection_and_union(pred, target)
    return intersection / union.clamp(min=1e-6)


def generalized_iou_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Compute the generalized IoU loss of each predicted box and its own target box.

    Args:
        pred: (P, 4) x1 y1 x2 y2.
        target: (P, 4) x1 y1 x2 y2.

    Returns:
        (P,) in [0, 2].

    Source: Rezatofighi et al., CVPR 2019. The values are those of `torchvision.ops.generalized_box_iou_loss`, whose masks make the CPU wait
    for a GPU.
    """
    intersection, union = _intersection_and_union(pred, target)
    hull = _areas(torch.cat([torch.minimum(pred[:, :2], target[:, :2]), torch.maximum(pred[:, 2:], target[:, 2:])], 1))
    return 1 - intersection / (union + GIOU_EPSILON) + (hull - union) / (hull + GIOU_EPSILON)


def _intersection_and_union(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the areas (P,) of the intersections and the unions of pairs of boxes (P, 4)."""
    both = torch.cat([torch.maximum(pred[:, :2], target[:, :2]), torch.minimum(pred[:, 2:], target[:, 2:])], 1)
    intersection = _areas(both)
    return intersection, _areas(pred) + _areas(target) - intersection


def _areas(box: Tensor) -> Tensor:
    """Return the areas (P,) of boxes (P, 4); 0 of a box whose corners are in the wrong order."""
    width, height = (box[:, 2:] - box[:, :2]).clamp(min=0).unbind(1)
    return width * height  # the gradient of `prod` waits for a GPU


def quality_focal_loss(logit: Tensor, quality: Tensor, weight: Tensor, gamma: float = 2.0) -> Tensor:
    """Compute the sum of binary cross-entropies to soft targets, with hard cells weighted up.

    Args:
        logit: Predicted objectness, any shape.
        quality: Target in [0, 1], the same shape: the IoU of the box of an assigned cell, 0 for other cells.
        weight: Weight of each cell, the same shape.
        gamma: Exponent of the weight of hard cells.

    Returns:
        ().

    Source: Li et al., NeurIPS 2020, eq. 5.
    """
    modulation = (quality - logit.sigmoid()).abs().pow(gamma)
    return (F.binary_cross_entropy_with_logits(logit, quality, reduction="none") * modulation * weight).sum()


def rotation_loss(rows: Tensor, target: Tensor) -> Tensor:
    """Compute the L1 distance of the first two rows of the rotation, before they are made orthonormal.

    Args:
        rows: (P, 6) as the network predicts them.
        target: (P, 3, 3).

    Returns:
        (P,).

    The MFN paper takes the L1 distance of R. A loss on the orthonormal R does not limit the length of the rows: they
    grew to five within 4,000 steps, and the longer a row, the farther it has to move to turn. Pitch was not learned at
    all (slope 0.05 against the target; yaw 0.92).
    """
    return (rows - target[:, :2].flatten(1)).abs().sum(1) / 2


def landmark_loss(pred: Tensor, target: Tensor, size: Tensor, weight: Tensor) -> Tensor:
    """Compute the mean L2 distance of projected landmarks, relative to the size of the face.

    Args:
        pred: (P, L, 2) px.
        target: (P, L, 2) px.
        size: (P,) px.
        weight: (L,).

    Returns:
        (P,).
    """
    distance = ((pred - target).square().sum(-1) + 1e-8 * size[:, None].square()).sqrt() / size[:, None]
    return (distance * weight).sum(1) / weight.sum()


def expression_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Compute the L1 distance of expression weights, with active shapes weighted up, because most weights are zero most of the time.

    Args:
        pred: (P, 51) in [0, 1].
        target: (P, 51) in [0, 1].

    Returns:
        (P,).
    """
    return ((pred - target).abs() * (1 + 2 * target)).mean(1)


def expression_divergence(pred: Tensor, target: Tensor) -> Tensor:
    """Compute the Kullback-Leibler divergence of expression weights, each read as the probability of a shape.

    Args:
        pred: (P, 51) in (0, 1), a sigmoid of what the network predicts.
        target: (P, 51) in [0, 1].

    Returns:
        (P,); 0 where both are equal.

    The gradient at what goes into the sigmoid is `pred - target`, divided by the number of shapes. That of `expression_loss` is multiplied
    by `pred (1 - pred)`, which is nearly 0 for a shape that is at rest in most faces: the face reader never learned a jaw that moves to
    a side, however many heads showed it.
    """
    pred, target = pred.clamp(_MIN_WEIGHT, 1 - _MIN_WEIGHT), target.clamp(0, 1)
    cross = -(torch.xlogy(target, pred) + torch.xlogy(1 - target, 1 - pred))
    own = -(torch.xlogy(target, target) + torch.xlogy(1 - target, 1 - target))
    return (cross - own).mean(1)


def gap_loss(pred: Tensor, target: Tensor, pairs: Tensor) -> Tensor:
    """Compute the L1 distance of the gaps between opposite points of eyelids and lips, in centimeters.

    These gaps change a landmark loss very little, but they are the first thing that a viewer notices.

    Args:
        pred: (P, L, 3) meters, head frame.
        target: (P, L, 3) meters, head frame.
        pairs: (G, 2) long, indices of opposite points.

    Returns:
        (P,).
    """
    pred_gap = pred[:, pairs[:, 0]] - pred[:, pairs[:, 1]]
    target_gap = target[:, pairs[:, 0]] - target[:, pairs[:, 1]]
    return 100 * (pred_gap - target_gap).abs().sum(-1).mean(1)


def vdc_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Compute 3DDFA's vertex distance cost: the mean squared distance of points.

    Args:
        pred: (P, L, 2 or 3) sides of the crop.
        target: The same shape.

    Returns:
        (P,).

    Source: Zhu et al., CVPR 2016, eq. 6.
    """
    return (pred - target).square().sum(-1).mean(1)


def wpdc_loss(pred: Tensor, target: Tensor, effect: Tensor) -> Tensor:
    """Compute 3DDFA's weighted parameter distance cost: parameters that move the vertices more count more.

    Args:
        pred: (P, K) parameters.
        target: (P, K).
        effect: (P, K) or (K,), how far one unit of each parameter moves the vertices.

    Returns:
        (P,).

    Source: Zhu et al., CVPR 2016, eqs. 7 and 8. The published weight of a parameter is how far the vertices of the
    target face move when only this parameter takes its predicted value. The vertices are linear in each parameter, so
    the weight is the error times `effect`. As published, the weights are divided by the largest, and no gradient flows
    through them.
    """
    error = pred - target
    weight = (error.abs() * effect).detach()
    weight = weight / weight.amax(1, keepdim=True).clamp(min=1e-12)
    return (weight * error.square()).sum(1)


def wing_loss(pred: Tensor, target: Tensor, width: float = 10.0, curvature: float = 2.0) -> Tensor:
    """Compute the Wing loss: logarithmic for errors below `width`, linear above.

    Args:
        pred: (P, L, C) px.
        target: (P, L, C) px.
        width: Error at which the loss becomes linear, px.
        curvature: The paper's epsilon, px.

    Returns:
        (P,).

    Source: Feng et al., CVPR 2018, eq. 5.
    """
    error = (pred - target).abs()
    shift = width - width * math.log(1 + width / curvature)
    return torch.where(error < width, width * torch.log1p(error / curvature), error - shift).mean((1, 2))


def expression_gain(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gain of each shape over a batch, and whether the shape varies enough for it to mean something.

    Args:
        predicted: (P, 51) weights in [0, 1].
        target: (P, 51) weights in [0, 1].

    Returns:
        (51,) slope of the least-squares line of predicted on target, and (51,) bool.
    """
    if len(target) < 2:
        return target.new_ones(target.shape[1]), target.new_zeros(target.shape[1]).bool()
    centered = target - target.mean(0)
    variance = centered.square().mean(0)
    slope = (centered * (predicted - predicted.mean(0))).mean(0) / (variance + RIDGE)
    return slope, variance > MIN_SPREAD**2


def gain_loss(predicted: Tensor, target: Tensor, aim: float = 1.0, within_spread: bool = False) -> Tensor:
    """Return the mean squared lack of gain, over the shapes that vary in the batch, and over the differences of left and right shapes.

    Args:
        predicted, target: as of `expression_gain`.
        aim: Gain that is enough. Where faces are hard to read, a gain of 1 costs correlation: noise grows as well.
        within_spread: Whether a gain as high as the correlation is enough too. A higher one needs predictions that vary more than
            the targets, which a network reaches for shapes that it hardly reads by calling them at random.

    Returns:
        A scalar; 0 where every gain is at least `aim` or, with `within_spread`, as high as its correlation.

    A loss on each face alone is least where the prediction is the mean (or median) of all faces that look alike, which for small or
    blurred faces is near rest. Over a batch that shows as a slope below 1. Differences of left and right are learned last: nearly all faces
    are even, so a wink becomes two half-shut eyes although both lids have a high gain.
    """
    predicted, target = (torch.cat([x, x[:, LEFT] - x[:, RIGHT]], 1) for x in (predicted, target))
    slope, counts = expression_gain(predicted, target)
    enough = slope.new_full(slope.shape, aim)
    if within_spread:
        ratio = (predicted.var(0, correction=0) + RIDGE).sqrt() / (target.var(0, correction=0) + RIDGE).sqrt()
        enough = torch.minimum(enough, (slope / ratio).detach().clamp(min=0))  # slope / ratio is the correlation
    lack = (enough - slope).clamp(min=0).square() * counts
    return lack.sum() / counts.sum().clamp(min=1)
