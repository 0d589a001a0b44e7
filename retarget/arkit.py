"""ARKit's 52 face coefficients: their names, their order, their mirror. The only place where these are written down.

The order is that of Live Link Face's stream, with the single middle shape `tongueOut` last, so that the 51 which can be seen in a
picture are the first 51. "Left" is the subject's left.
"""

from __future__ import annotations

import re

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
"""The 51 that a picture of a closed or open mouth can show: all but `tongueOut`."""

EYE_TURN_RAD = (0.52, 0.44)
"""Turn of an eye to the side, and up or down, at coefficient 1 of eyeLook*: 30 and 25 degrees."""


LONGEST_NAME = 128
"""Of what others call a shape, so many signs at the end are looked at."""


def _mirrored(name: str) -> str:
    if name.endswith("Left"):
        return name[:-4] + "Right"
    if name.endswith("Right"):
        return name[:-5] + "Left"
    return name


MIRROR: tuple[int, ...] = tuple(ARKIT_NAMES.index(_mirrored(name)) for name in ARKIT_NAMES)
"""`coefficients[..., MIRROR]` are those of the mirrored face: 20 pairs change places, 12 stay. Its first 51 permute EXPRESSION_NAMES."""


def _key(name: str) -> str:
    """Spelling-free form: case, underscores, dots and blanks dropped; a trailing `_L`/`_R` spelt out."""
    bare = name.strip()
    for short, long in (("_L", "Left"), ("_R", "Right"), (".L", "Left"), (".R", "Right")):
        if bare.upper().endswith(short):
            bare = bare[: -len(short)] + long
    return "".join(c for c in bare.lower() if c.isalnum())


_BY_KEY: dict[str, str] = {_key(name): name for name in ARKIT_NAMES}
_BY_KEY |= {_key(f"{name}_{side}"): name for name in ("browInnerUp", "cheekPuff", "tongueOut") for side in ("L", "R")}


def canonical_name(name: str) -> str | None:
    """ARKit's name for a shape in any usual spelling (`browDown_L`, `BrowDownLeft`, `brow_down_left`), or None.

    What owns it may stand before a dot or a colon (`blendShape1.jawOpen`). Halves of middle shapes (ICT-FaceKit's
    `browInnerUp_L`) give the middle name: whoever merges them takes their mean.
    """
    parts = re.split(r"[.:|/]", name[-LONGEST_NAME:])
    keys = [_key(name[-LONGEST_NAME:]), *(_key(".".join(parts[k:])) for k in range(1, len(parts)))]
    return next((_BY_KEY[key] for key in keys if key in _BY_KEY), None)
