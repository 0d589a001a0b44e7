"""Turn measures into flags: true, false or unknown. The thresholds lie in thresholds.json.

`python -m experiments.accuracy.expression.attributes` chooses them on labeled faces and writes the file, with precision
and recall by size of the face.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.batch.attributes.measure import Attributes

FILE = Path(__file__).with_name("thresholds.json")
FLAG_NAMES = ("eyes_closed", "smile", "looking_at_camera")
_MEASURES = {"eyes_closed": "eyes_closed", "smile": "smile", "looking_at_camera": "gaze_deg"}
_SMALLER_IS_TRUE = ("looking_at_camera",)


@dataclass(frozen=True)
class Threshold:
    """When a flag is true, and for which faces it is known.

    Attributes:
        value: The flag is true from this value of its measure on; for looking_at_camera, up to this angle in degrees.
        min_network_px: A smaller face is unknown.
        max_yaw_deg: A face that is turned further to either side is unknown.
        min_visible: A face of which less is visible is unknown.
    """

    value: float
    min_network_px: float
    max_yaw_deg: float
    min_visible: float


@dataclass(frozen=True)
class Thresholds:
    """The thresholds of all flags, by name, and the largest sharpness of a face that counts as blurred."""

    flags: Mapping[str, Threshold]
    blurred: float

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Thresholds:
        """Read the content of thresholds.json."""
        return cls({name: Threshold(**content["flags"][name]) for name in FLAG_NAMES}, float(content["blurred"]))


@lru_cache(maxsize=1)
def default_thresholds() -> Thresholds:
    """Return the thresholds that ship."""
    return Thresholds.from_dict(json.loads(FILE.read_text(encoding="utf-8")))


def flags(measured: Attributes, yaw_deg: NDArray[Any], thresholds: Thresholds | None = None) -> dict[str, list[bool | None]]:
    """Return each flag of N faces; None is unknown: the face is too small, turned too far or hidden.

    Args:
        measured: Measures of the faces.
        yaw_deg: (N,) yaw of the heads in degrees.
        thresholds: None: those that ship.
    """
    found: dict[str, list[bool | None]] = {}
    for name, threshold in (thresholds or default_thresholds()).flags.items():
        value = getattr(measured, _MEASURES[name])
        true = value <= threshold.value if name in _SMALLER_IS_TRUE else value >= threshold.value
        known = (measured.network_px >= threshold.min_network_px) & (np.abs(yaw_deg) <= threshold.max_yaw_deg)
        known &= measured.visible >= threshold.min_visible
        found[name] = [bool(t) if k else None for t, k in zip(true, known)]
    return found
