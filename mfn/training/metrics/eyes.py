"""Figures of the eye reader: how well the shapes of eyes are read, and winks.

Letter: B eyes, the left and the right one of each face, one after the other.
"""

from __future__ import annotations

from torch import Tensor

from mfn.structures.crop_geometry import EYE_SHAPES

WINK, EVEN = 0.45, 0.15  # difference of the labels of two lids
FALSE_WINK = 0.3  # difference that is read of even lids


def eye_figures(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Return the error, and correlation and gain of each shape; and of two lids, how much of a wink is read and how often a false one.

    Args:
        predicted: (B, 7) weights of EYE_SHAPES.
        target: (B, 7) their labels.
    """
    figures = {"l1": (predicted - target).abs().mean()}
    for column, name in enumerate(EYE_SHAPES):
        p, t = predicted[:, column] - predicted[:, column].mean(), target[:, column] - target[:, column].mean()
        figures[f"{name}_r"] = (p * t).sum() / (p.norm() * t.norm()).clamp(min=1e-6)
        figures[f"{name}_gain"] = (p * t).sum() / t.square().sum().clamp(min=1e-6)
    read, true = left_minus_right(predicted)[:, 0], left_minus_right(target)[:, 0]
    winks, even = true.abs() > WINK, true.abs() < EVEN
    if winks.any():
        figures["wink_gain"] = (read / true)[winks].mean()
    if even.any():
        figures["false_winks"] = (read[even].abs() > FALSE_WINK).float().mean()
    return figures


def left_minus_right(shapes: Tensor) -> Tensor:
    """Return the difference of the shapes (B, 7) of both eyes of each face -> (B / 2, 7)."""
    left, right = shapes.unflatten(0, (-1, 2)).unbind(1)
    return left - right
