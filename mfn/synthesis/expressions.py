"""Random expression weights: for rendered heads, for crowds, and changes of the expression of a fitted face.

All arrays hold one weight in [0, 1] for each of the 51 ARKit shapes, in the order of `EXPRESSION_NAMES`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EXPRESSION_NAMES

Floats = NDArray[np.float32]

#: Common expressions, as the weights of their strongest form.
MOODS: tuple[Mapping[str, float], ...] = (
    {},
    {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "cheekSquintLeft": 0.4, "cheekSquintRight": 0.4},
    {"jawOpen": 0.6, "mouthSmileLeft": 0.5, "mouthSmileRight": 0.5},
    {"jawOpen": 0.5, "browInnerUp": 0.7, "eyeWideLeft": 0.6, "eyeWideRight": 0.6},
    {"browDownLeft": 0.8, "browDownRight": 0.8, "mouthFrownLeft": 0.5, "mouthFrownRight": 0.5},
    {"mouthPucker": 0.8, "mouthFunnel": 0.2},
    {"eyeBlinkLeft": 0.95, "eyeBlinkRight": 0.95},
    {"eyeBlinkLeft": 0.9, "mouthSmileLeft": 0.7, "mouthSmileRight": 0.3},
    {"eyeLookOutLeft": 0.6, "eyeLookInRight": 0.6, "browOuterUpLeft": 0.5, "browOuterUpRight": 0.5},
)

#: Pairs of shapes that exclude each other: the weaker one of each pair is reduced to almost 0.
OPPOSITES = (
    ("eyeBlinkLeft", "eyeWideLeft"), ("eyeBlinkRight", "eyeWideRight"), ("jawLeft", "jawRight"), ("mouthLeft", "mouthRight"),
    ("mouthSmileLeft", "mouthFrownLeft"), ("mouthSmileRight", "mouthFrownRight"), ("browDownLeft", "browOuterUpLeft"),
    ("browDownRight", "browOuterUpRight"), ("mouthPucker", "mouthStretchLeft"), ("mouthPucker", "mouthStretchRight"),
    ("mouthPucker", "mouthSmileLeft"), ("mouthPucker", "mouthSmileRight"), ("mouthRollLower", "mouthFunnel"),
    ("mouthRollUpper", "mouthFunnel"), ("mouthPucker", "jawOpen"), ("mouthPressLeft", "jawOpen"), ("mouthPressRight", "jawOpen"),
    ("mouthRollLower", "jawOpen"), ("mouthRollUpper", "mouthUpperUpLeft"), ("cheekPuff", "jawOpen"), ("mouthFunnel", "mouthStretchLeft"),
)  # fmt: skip

#: Movements to the left and to the right.
SIDEWAYS = (("jawLeft", "jawRight"), ("mouthLeft", "mouthRight"))

#: Shapes that are rare in photos. They are drawn on purpose, with the other side at the same, at another or at no weight.
RARE_SHAPES = (
    "cheekPuff", "jawForward", "jawLeft", "mouthLeft", "noseSneerLeft", "eyeBlinkLeft", "eyeSquintLeft", "mouthSmileLeft", "mouthPucker",
    "mouthFunnel", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthDimpleLeft",
    "mouthFrownLeft", "mouthStretchLeft", "mouthUpperUpLeft", "mouthLowerDownLeft", "browDownLeft", "browOuterUpLeft", "browInnerUp",
    "eyeWideLeft", "cheekSquintLeft", "jawOpen", "mouthClose",
)  # fmt: skip


class ExpressionChange(NamedTuple):
    """A change of some shapes of an expression.

    Attributes:
        share: how often this change is drawn, relative to the others.
        ranges: shape name -> (minimum, maximum) of its new weight. A name without its side stands for both sides.
    """

    share: float
    ranges: Mapping[str, tuple[float, float]]


#: Changes that are applied to the expressions of people in photos.
CHANGES = (
    ExpressionChange(3, {"eyeBlink": (0.85, 1.0), "eyeLookDown": (0.2, 0.6)}),
    ExpressionChange(1, {"eyeBlink": (0.3, 0.8), "eyeLookDown": (0.1, 0.5)}),
    ExpressionChange(1.5, {"eyeBlinkLeft": (0.85, 1.0), "cheekSquintLeft": (0.2, 0.6), "eyeSquintLeft": (0.2, 0.8)}),
    ExpressionChange(1.5, {"eyeBlinkRight": (0.85, 1.0), "cheekSquintRight": (0.2, 0.6), "eyeSquintRight": (0.2, 0.8)}),
    ExpressionChange(3, {"jawOpen": (0.3, 0.95), "mouthClose": (0, 0)}),
    ExpressionChange(1, {"jawOpen": (0.2, 0.6), "mouthClose": (0, 0), "mouthFunnel": (0.3, 0.8)}),
    ExpressionChange(1, {"jawOpen": (0.3, 0.7), "mouthClose": (0, 0), "browInnerUp": (0.4, 0.9), "browOuterUp": (0.4, 0.9)}),
    ExpressionChange(1.5, {"mouthSmile": (0.5, 1.0), "cheekSquint": (0.2, 0.5)}),
    ExpressionChange(0.7, {"mouthSmileLeft": (0.5, 0.9), "mouthDimpleLeft": (0.0, 0.4)}),
    ExpressionChange(0.7, {"mouthSmileRight": (0.5, 0.9), "mouthDimpleRight": (0.0, 0.4)}),
    ExpressionChange(1, {"mouthSmile": (0, 0.05), "mouthFrown": (0.4, 0.9), "browDown": (0.2, 0.7)}),
    ExpressionChange(1.5, {"mouthPucker": (0.5, 1.0), "mouthSmile": (0, 0.05)}),
    ExpressionChange(0.7, {"mouthLeft": (0.4, 0.9)}),
    ExpressionChange(0.7, {"mouthRight": (0.4, 0.9)}),
    ExpressionChange(0.7, {"jawLeft": (0.4, 0.9)}),
    ExpressionChange(0.7, {"jawRight": (0.4, 0.9)}),
    ExpressionChange(0.7, {"jawForward": (0.5, 1.0)}),
    ExpressionChange(1, {"cheekPuff": (0.5, 1.0)}),
    ExpressionChange(1, {"noseSneer": (0.4, 1.0), "browDown": (0.3, 0.9)}),
    ExpressionChange(1, {"browInnerUp": (0.5, 1.0), "browOuterUp": (0.4, 1.0), "browDown": (0, 0)}),
    ExpressionChange(0.7, {"browOuterUpLeft": (0.5, 1.0), "browDownLeft": (0, 0), "browDownRight": (0.4, 0.9)}),
    ExpressionChange(0.7, {"browOuterUpRight": (0.5, 1.0), "browDownRight": (0, 0), "browDownLeft": (0.4, 0.9)}),
    ExpressionChange(1, {"mouthUpperUp": (0.4, 0.9), "mouthLowerDown": (0.2, 0.7), "mouthClose": (0, 0)}),
    ExpressionChange(1, {"mouthRollLower": (0.4, 1.0), "mouthRollUpper": (0.2, 0.9), "mouthPress": (0.2, 0.8)}),
    ExpressionChange(0.7, {"mouthStretch": (0.4, 0.9), "mouthLowerDown": (0.1, 0.4)}),
    ExpressionChange(0.7, {"mouthShrugLower": (0.4, 1.0), "mouthShrugUpper": (0.2, 0.7)}),
)

_SHOWN = 0.3  # a change shows a shape whose new weight may be above this; others are set to rest by it
#: The names of the shapes that `CHANGES` show. A name without its side stands for both sides.
CHANGED_SHAPES = tuple(sorted({name for change in CHANGES for name, (_, high) in change.ranges.items() if high > _SHOWN}))

SIDES = ("Left", "Right")
_MOUTH = [k for k, name in enumerate(EXPRESSION_NAMES) if name.startswith(("mouth", "jaw", "cheekPuff"))]
_MIN_CONFLICT = 0.08  # opposite shapes conflict if both weights are above this

_index = {name: k for k, name in enumerate(EXPRESSION_NAMES)}.__getitem__


def expression_from_weights(weights: Mapping[str, float]) -> Floats:
    """Make an expression of named weights; shapes that are not named get 0.

    Args:
        weights: ARKit name -> weight in [0, 1].

    Returns:
        (51,) float32.
    """
    out = np.zeros(len(EXPRESSION_NAMES), np.float32)
    for name, weight in weights.items():
        out[_index(name)] = weight
    return out


def random_expressions(count: int, rng: np.random.Generator) -> Floats:
    """Draw varied expressions for training: moods, rare shapes and free mixtures, each with a gaze and often a blink.

    Args:
        count: number N of expressions.
        rng: source of random numbers.

    Returns:
        (N, 51) float32 in [0, 1].
    """
    out = np.zeros((count, len(EXPRESSION_NAMES)), np.float32)
    for row in out:
        kind = rng.random()
        if kind < 0.35:
            strength = rng.uniform(0.4, 1.15)
            for name, weight in MOODS[int(rng.integers(len(MOODS)))].items():
                row[_index(name)] = weight * strength
        elif kind < 0.7:
            for name in rng.choice(RARE_SHAPES, int(rng.integers(1, 4)), replace=False):
                _set_with_other_side(row, str(name), float(rng.uniform(0.3, 1.0)), rng)
        if kind > 0.6:
            names = rng.choice(len(row), int(rng.integers(2, 9)), replace=False)
            row[names] = np.maximum(row[names], rng.beta(1.2, 1.6, len(names)))
        if rng.random() < 0.4:
            row[:] = np.maximum(row, rng.uniform(0, 0.12, len(row)))
        _set_gaze_and_lids(row, rng)
        _resolve_conflicts(row)
    return out


def random_moods(count: int, rng: np.random.Generator) -> Floats:
    """Draw common expressions: one of `MOODS` at a random strength, over small weights of all other shapes.

    Args:
        count: number N of expressions.
        rng: source of random numbers.

    Returns:
        (N, 51) float32 in [0, 1].
    """
    weights = rng.uniform(0, 0.06, (count, len(EXPRESSION_NAMES))).astype(np.float32)
    for row in weights:
        strength = rng.uniform(0.6, 1.0)
        for name, weight in MOODS[int(rng.integers(len(MOODS)))].items():
            row[_index(name)] = weight * strength
    return weights


def changes_of(shapes: Sequence[str]) -> tuple[ExpressionChange, ...]:
    """Return those `CHANGES` that show one of some shapes.

    Args:
        shapes: Some of `CHANGED_SHAPES`.
    """
    return tuple(change for change in CHANGES if any(change.ranges.get(name, (0, 0))[1] > _SHOWN for name in shapes))


def change_expression(
    expression: Floats, rng: np.random.Generator, changes: Sequence[ExpressionChange] = CHANGES
) -> Floats:
    """Apply one or two random changes to an expression. If they change the mouth, its other shapes are reduced.

    Args:
        expression: (51,) in [0, 1].
        rng: source of random numbers.
        changes: The changes to choose from.

    Returns:
        (51,) float32 in [0, 1], a new array.
    """
    shares = np.array([change.share for change in changes])
    out = np.array(expression, np.float32)
    count = min(int(rng.choice([1, 2], p=[0.65, 0.35])), len(changes))
    new: dict[int, float] = {}
    for pick in rng.choice(len(changes), count, replace=False, p=shares / shares.sum()):
        for name, (low, high) in changes[pick].ranges.items():
            weight = float(rng.uniform(low, high))
            names = [name] if name in EXPRESSION_NAMES else [name + side for side in SIDES]
            new.update({_index(n): weight for n in names})
    for a, b in SIDEWAYS:  # of two changes, to the left and to the right, one remains
        if min(new.get(_index(a), 0), new.get(_index(b), 0)) > 0:
            new[_index(a if rng.random() < 0.5 else b)] = 0.0
    if any(k in _MOUTH for k in new):
        out[_MOUTH] *= rng.uniform(0.1, 0.5)
    for k, weight in new.items():
        out[k] = weight
    out[_index("mouthClose")] = min(out[_index("mouthClose")], out[_index("jawOpen")])
    return out


def cover_mouth(expression: Floats) -> Floats:
    """Set the shapes that a face mask hides to rest. If the jaw opens, the lips stay closed.

    Args:
        expression: (N, 51) in [0, 1].

    Returns:
        (N, 51), a new array.
    """
    out: Floats = expression.copy()
    out[:, _MOUTH] = 0
    out[:, _index("jawOpen")] = out[:, _index("mouthClose")] = 0.5 * expression[:, _index("jawOpen")]
    return out


def _set_with_other_side(row: Floats, name: str, weight: float, rng: np.random.Generator) -> None:
    """Set a shape in `row` (51,) and its twin on the other side: mostly alike, often one side alone."""
    other = name.replace("Left", "Right")
    has_twin = name not in ("jawLeft", "mouthLeft") and other != name
    if not has_twin:
        row[_index(other if rng.random() < 0.5 else name)] = weight
        return
    share = rng.choice([1.0, 0.0, rng.random()], p=[0.55, 0.25, 0.2])
    first, second = (name, other) if rng.random() < 0.5 else (other, name)
    row[_index(first)], row[_index(second)] = weight, weight * share


def _set_gaze_and_lids(row: Floats, rng: np.random.Generator) -> None:
    """Turn both eyes in one direction; in a quarter of all rows let them blink, squint or wink."""
    left, up = rng.normal(0, 0.3, 2).clip(-1, 1) if rng.random() < 0.7 else rng.uniform(-0.9, 0.9, 2)
    for name in ("eyeLookInLeft", "eyeLookOutLeft", "eyeLookInRight", "eyeLookOutRight"):
        to_subjects_left = ("Left" in name) == ("Out" in name)
        row[_index(name)] = max(left if to_subjects_left else -left, 0)
    for side in SIDES:
        row[_index(f"eyeLookUp{side}")], row[_index(f"eyeLookDown{side}")] = max(up, 0), max(-up, 0)
        lid = _index(f"eyeBlink{side}")
        row[lid] = max(row[lid], 0.45 * max(-up, 0))  # the upper lid follows the eye down
    if rng.random() < 0.25:
        _set_with_other_side(row, "eyeBlinkLeft", float(rng.choice([rng.uniform(0.9, 1.0), rng.uniform(0.2, 1.0)])), rng)


def _resolve_conflicts(row: Floats) -> None:
    """Reduce the weaker one of conflicting shapes, and clip all weights to [0, 1]."""
    for a, b in OPPOSITES:
        i, j = _index(a), _index(b)
        if row[i] > _MIN_CONFLICT and row[j] > _MIN_CONFLICT:
            row[i if row[i] < row[j] else j] *= 0.08
    row[_index("mouthClose")] = min(row[_index("mouthClose")], row[_index("jawOpen")])
    np.clip(row, 0, 1, out=row)
