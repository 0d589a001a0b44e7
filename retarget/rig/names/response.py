"""How strongly a character answers: factors and curves that change coefficients before they move targets and joints.

Letters: N people, P points of a curve.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES, canonical_name
from retarget.io.suggest import did_you_mean

_AREAS = {
    "brows": ("brow",),
    "lids": ("eyeBlink", "eyeSquint", "eyeWide"),
    "gaze": ("eyeLook",),
    "jaw": ("jaw",),
    "mouth": ("mouth",),
    "cheeks": ("cheek",),
    "nose": ("nose",),
    "tongue": ("tongue",),
    "all": ("",),
}
AREA_NAMES = tuple(_AREAS)
"""Areas of the face that have one strength or curve for all their coefficients."""

_MAX_STRENGTH = 10.0
_MAX_OUTPUT = 2.0
_EXPECTED_CURVE = f"expected a factor of 0 to {_MAX_STRENGTH:g}, or points [[0, 0], [0.5, 0.8], [1, 1]] with rising inputs of 0 to 1"


@dataclass(frozen=True)
class Response:
    """How a character answers to the coefficients.

    Attributes:
        strength: (52,) factors. The product with a coefficient is clipped at 1, so that nothing moves farther than at 1.
        curves: Row -> (P, 2) points of input and output, applied after the strength. An output may be above 1.
    """

    strength: NDArray[np.float32] = field(default_factory=lambda: np.ones(len(ARKIT_NAMES), np.float32))
    curves: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)

    def apply(self, coefficients: NDArray[Any]) -> NDArray[Any]:
        """Return the coefficients (N, 52) that the character is driven with. Without a strength or curve they are the same."""
        if not self.is_changed:
            return coefficients
        is_scaled = self.strength != 1
        result = np.where(is_scaled, (coefficients * self.strength).clip(0, 1), coefficients).astype(coefficients.dtype)
        for row, points in self.curves.items():
            result[:, row] = np.interp(result[:, row], points[:, 0], points[:, 1])
        return result

    @property
    def is_changed(self) -> bool:
        """Whether it changes any coefficient."""
        return bool(self.curves) or bool((self.strength != 1).any())

    def describe(self) -> str:
        """Return what it changes in words: "browInnerUp 1.5, eyeBlinkLeft by a curve"."""
        parts = [f"{ARKIT_NAMES[row]} {self.strength[row]:g}" for row in np.flatnonzero(self.strength != 1)]
        return ", ".join([*parts, *(f"{ARKIT_NAMES[row]} by a curve" for row in sorted(self.curves))])

    def highest(self) -> NDArray[np.float32]:
        """Return the largest value (52,) that a coefficient can take, at least 1."""
        result = np.ones(len(ARKIT_NAMES), np.float32)
        for row, points in self.curves.items():
            result[row] = max(1.0, float(points[:, 1].max()))
        return result


def read_response(strength: Mapping[str, Any], curves: Mapping[str, Any]) -> Response:
    """Build a response.

    Args:
        strength: Name -> factor, as users give it with `--strength`.
        curves: Name -> factor or points, as in the map of a rig.

    Raises:
        ValueError: A name or value is wrong.

    A name is one of ARKit's, the same without its side (`eyeBlink`), or one of `AREA_NAMES`. Where several names mean one
    coefficient, the more exact name counts.
    """
    factors = np.ones(len(ARKIT_NAMES), np.float32)
    points: dict[int, NDArray[np.float64]] = {}
    for name, value in sorted(curves.items(), key=lambda item: -len(_rows(item[0]))):
        for row in _rows(name):
            points.pop(row, None)
            factors[row] = value if _is_number(value) else 1
            if not _is_number(value):
                points[row] = _check_points(name, value)
        if _is_number(value):
            _check_strength(name, value)
    given = np.ones(len(ARKIT_NAMES), np.float32)
    for name, value in sorted(strength.items(), key=lambda item: -len(_rows(item[0]))):
        given[_rows(name)] = _check_strength(name, value)
    return Response(factors * given, points)


def parse_strength(texts: Iterable[str]) -> dict[str, float]:
    """Read values of `--strength`: "brows=1.5", or several with commas between them.

    Raises:
        ValueError: A text has another form, or names no coefficient.
    """
    result: dict[str, float] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, equals, number = part.partition("=")
        try:
            value = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise ValueError(f"--strength {part[:60]!r}: expected NAME=FACTOR, such as brows=1.5")
        _rows(name)
        result[name.strip()] = _check_strength(name, value)
    return result


def _rows(name: str) -> list[int]:
    """The coefficients that a name means."""
    bare = name.strip()
    if bare.lower() in _AREAS:
        return [row for row, own in enumerate(ARKIT_NAMES) if own.startswith(_AREAS[bare.lower()])]
    one = canonical_name(bare)
    if one:
        return [ARKIT_NAMES.index(one)]
    both = [canonical_name(f"{bare}{side}") for side in ("Left", "Right")]
    if not all(both):
        known = [*AREA_NAMES, *ARKIT_NAMES]
        hint = did_you_mean(bare, known) or f"; expected {', '.join(AREA_NAMES[:-1])}, all or one of ARKit's names"
        raise ValueError(f"{bare[:60]!r} is no area of the face{hint}")
    return [ARKIT_NAMES.index(str(own)) for own in both]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_strength(name: str, value: Any) -> float:
    if not _is_number(value) or not math.isfinite(value) or not 0 <= value <= _MAX_STRENGTH:
        raise ValueError(f"{name[:60]}: strength {str(value)[:40]}; expected a factor of 0 to {_MAX_STRENGTH:g}")
    return float(value)


def _check_points(name: str, value: Any) -> NDArray[np.float64]:
    pairs = value if isinstance(value, list) and len(value) >= 2 else []
    if not all(isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair)) for pair in pairs) or not pairs:
        raise ValueError(f"{name[:60]}: {_EXPECTED_CURVE}")
    points = np.array(pairs, np.float64)
    is_rising = bool((np.diff(points[:, 0]) > 0).all()) and bool((points[:, 0] >= 0).all() and (points[:, 0] <= 1).all())
    if not is_rising or not ((points[:, 1] >= 0) & (points[:, 1] <= _MAX_OUTPUT)).all():
        raise ValueError(f"{name[:60]}: {_EXPECTED_CURVE} and outputs of 0 to {_MAX_OUTPUT:g}")
    return points
