"""Names and order of ARKit's 52 face coefficients, which of them change places in a mirror, and how they turn the eyes.

The order is that of Live Link Face's network packets. `tongueOut` is last, so that the 51 others are the first 51. "Left" is the
subject's left.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

_EYE = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide")

ARKIT_NAMES: tuple[str, ...] = (
    *(f"{name}Left" for name in _EYE),
    *(f"{name}Right" for name in _EYE),
    "jawForward",
    "jawLeft",
    "jawRight",
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthLeft",
    "mouthRight",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
)

EXPRESSION_NAMES: tuple[str, ...] = ARKIT_NAMES[:51]
"""The 51 coefficients without `tongueOut`."""

ANTAGONISTS: tuple[tuple[str, str], ...] = (
    ("mouthLeft", "mouthRight"),
    ("jawLeft", "jawRight"),
    *((f"eyeLookIn{side}", f"eyeLookOut{side}") for side in ("Left", "Right")),
    *((f"eyeLookUp{side}", f"eyeLookDown{side}") for side in ("Left", "Right")),
)
"""Pairs of shapes that move the same points in opposite directions."""

EYE_TURN_RAD = (0.52, 0.52, 0.44, 0.44)
"""How far a character's eye turns in, out, down and up when eyeLook* is 1: 30 degrees to the side, 25 up or down."""

PHONE_EYE_TURN_RAD = (0.60, 0.60, 0.56, 0.56)
"""The same as phones report it: slopes of their recordings. What phone apps write and send has these angles."""

LONGEST_NAME = 128
"""Of longer names only this many characters at the end are compared."""


def _mirrored(name: str) -> str:
    if name.endswith("Left"):
        return name[:-4] + "Right"
    if name.endswith("Right"):
        return name[:-5] + "Left"
    return name


MIRROR: tuple[int, ...] = tuple(ARKIT_NAMES.index(_mirrored(name)) for name in ARKIT_NAMES)
"""`coefficients[..., MIRROR]` belong to the mirrored face: 20 pairs change places, 12 stay. The first 51 permute EXPRESSION_NAMES."""


def _key(name: str) -> str:
    """Return a name in lower case, letters and digits only, with a final `_L` or `_R` written out."""
    bare = name.strip()
    for short, long in (("_L", "Left"), ("_R", "Right"), (".L", "Left"), (".R", "Right")):
        if bare.upper().endswith(short):
            bare = bare[: -len(short)] + long
    return "".join(c for c in bare.lower() if c.isalnum())


_BY_KEY: dict[str, str] = {_key(name): name for name in ARKIT_NAMES}
_BY_KEY |= {_key(f"{name}_{side}"): name for name in ("browInnerUp", "cheekPuff", "tongueOut") for side in ("L", "R")}


def canonical_name(name: str) -> str | None:
    """Return ARKit's name of a shape.

    Args:
        name: The name in a usual spelling, such as `browDown_L`, `BrowDownLeft` or `brow_down_left`. The name of an owner
            may precede it, as in `blendShape1.jawOpen`.

    Returns:
        The name, or None if it is unknown. The two halves of a middle shape, such as ICT-FaceKit's `browInnerUp_L`, have the
        name of the whole shape; the caller averages them.
    """
    return _canonical_name(name[-LONGEST_NAME:])


@lru_cache(maxsize=4096)  # each frame of a JSON take has the same names
def _canonical_name(name: str) -> str | None:
    parts = re.split(r"[.:|/]", name)
    keys = [_key(name), *(_key(".".join(parts[k:])) for k in range(1, len(parts)))]
    return next((_BY_KEY[key] for key in keys if key in _BY_KEY), None)


def eye_angles(coefficients: ArrayLike, at_one_rad: ArrayLike) -> NDArray[np.float64]:
    """Compute how far the eyes turn by the weights eyeLook*.

    Args:
        coefficients: (N, 52) in ARKIT_NAMES order, or (N, 51) without `tongueOut`.
        at_one_rad: (4,) radians in, out, down and up at coefficient 1, such as EYE_TURN_RAD.

    Returns:
        (N, 2, 2) radians of the left and the right eye: to the subject's left, and down.
    """
    given = np.asarray(coefficients, np.float64)
    inwards, outwards, down, up = np.asarray(at_one_rad, np.float64)
    angles = []
    for side, sign in (("Left", 1), ("Right", -1)):
        look = {way: given[:, ARKIT_NAMES.index(f"eyeLook{way}{side}")] for way in ("In", "Out", "Down", "Up")}
        angles.append([sign * (look["Out"] * outwards - look["In"] * inwards), look["Down"] * down - look["Up"] * up])
    return np.moveaxis(np.array(angles), 2, 0)
