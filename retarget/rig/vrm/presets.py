"""VRM's preset expressions, and how they follow ARKit's coefficients on an avatar that has presets only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

BLINK, GAZE, MOUTH = range(3)
"""Kinds of expressions that other expressions may suppress. They number the rows of `VrmExpressions.override`."""


class Preset(NamedTuple):
    """One preset expression: its value is `clip(offset + sum of weight * coefficient, 0, 1)`.

    Attributes:
        name: The name in VRM 1.0.
        vrm0_name: The name in VRM 0.x.
        kind: BLINK, GAZE or MOUTH, or None for an emotion.
        weights: ARKit name -> weight.
        offset: 0, or negative for emotions, so that an emotion starts only at a clear sign of it. (Without it an
            expression that blocks others would do so from the smallest weight on.)
    """

    name: str
    vrm0_name: str
    kind: int | None
    weights: Mapping[str, float]
    offset: float = 0.0

    def fills(self, known: Collection[str]) -> bool:
        """Return whether it shows shapes that an avatar lacks, and none of the `known` ones. Emotions never do."""
        shown = [name for name, weight in self.weights.items() if weight > 0]
        return self.kind is not None and not any(name in known for name in shown)


def _both(name: str, weight: float) -> dict[str, float]:
    return {f"{name}Left": weight, f"{name}Right": weight}


# Negative weights make vowels exclude each other: an open, rounded mouth is one vowel and not two at once. The same
# holds for emotions.
PRESETS = (
    Preset("aa", "A", MOUTH, {"jawOpen": 1.0, "mouthFunnel": -0.7, "mouthPucker": -0.7}),
    Preset("ih", "I", MOUTH, _both("mouthStretch", 0.4)),
    Preset("ou", "U", MOUTH, {"mouthPucker": 1.0, "mouthFunnel": -0.5}),
    Preset("ee", "E", MOUTH, {**_both("mouthSmile", 0.25), "jawOpen": -0.5}),
    Preset("oh", "O", MOUTH, {"mouthFunnel": 1.0}),
    Preset("blinkLeft", "Blink_L", BLINK, {"eyeBlinkLeft": 1.0}),
    Preset("blinkRight", "Blink_R", BLINK, {"eyeBlinkRight": 1.0}),
    Preset("blink", "Blink", BLINK, _both("eyeBlink", 0.5)),  # used where an avatar cannot wink
    Preset("lookUp", "LookUp", GAZE, {**_both("eyeLookUp", 0.5), **_both("eyeLookDown", -0.5)}),
    Preset("lookDown", "LookDown", GAZE, {**_both("eyeLookDown", 0.5), **_both("eyeLookUp", -0.5)}),
    Preset("lookLeft", "LookLeft", GAZE, {"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5}),
    Preset("lookRight", "LookRight", GAZE, {"eyeLookInLeft": 0.5, "eyeLookOutRight": 0.5}),
    Preset("happy", "Joy", None, {**_both("mouthSmile", 0.35), **_both("cheekSquint", 0.35)}, -0.4),
    Preset("relaxed", "Fun", None, {**_both("mouthSmile", 0.5), **_both("cheekSquint", -0.5)}, -0.3),
    Preset("angry", "Angry", None, {**_both("browDown", 0.5), **_both("noseSneer", 0.2)}, -0.4),
    Preset("sad", "Sorrow", None, {**_both("mouthFrown", 0.45), "browInnerUp": 0.5}, -0.4),
    Preset("surprised", "Surprised", None, {**_both("eyeWide", 0.4), **_both("browOuterUp", 0.3)}, -0.4),
)
PRESET_BY_NAME = {preset.name: preset for preset in PRESETS}
"""VRM 1.0 name -> preset."""
