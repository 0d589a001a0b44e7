"""VRM 0.x and 1.0 avatars: their bones, and how ARKit's 52 drive their expressions.

An avatar with clips named after ARKit's shapes ("perfect sync") is driven by these, one by one. Any other is driven
by VRM's presets through the small table below. What expressions do to each other (one suppresses blinks, another the
lips) is applied sample by sample on the way to morph weights, not left to the player: what is written is an animation
of morph weights, and a glTF player knows nothing of expressions.

Letters: N faces, K expressions, M morph targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES, EYE_TURN_RAD, canonical_name
from retarget.geometry.node_tree import Document
from retarget.rig.morph_targets import Morph

BLINK, LOOK, MOUTH = range(3)  # kinds that other expressions may suppress
_OVERRIDES = ("overrideBlink", "overrideLookAt", "overrideMouth")  # of the kind with that number
_ENOUGH = len(ARKIT_NAMES) // 2


class Preset(NamedTuple):
    """One of VRM's expressions: its names in 1.0 and 0.x, its kind (None: a feeling), and its value, clipped to
    [0, 1]: the sum of `parts` of ARKit's shapes, plus `offset`, below zero so that a feeling starts only at a clear
    sign of it (a "block" acts from the least weight on)."""

    name: str
    old_name: str
    kind: int | None
    parts: Mapping[str, float]
    offset: float = 0.0


def _both(name: str, factor: float) -> dict[str, float]:
    return {f"{name}Left": factor, f"{name}Right": factor}


# Vowels give way to each other, so that a rounded open mouth is one of them and not two at once; so do feelings.
PRESETS = (
    Preset("aa", "A", MOUTH, {"jawOpen": 1.0, "mouthFunnel": -0.7, "mouthPucker": -0.7}),
    Preset("ih", "I", MOUTH, _both("mouthStretch", 0.4)),
    Preset("ou", "U", MOUTH, {"mouthPucker": 1.0, "mouthFunnel": -0.5}),
    Preset("ee", "E", MOUTH, {**_both("mouthSmile", 0.25), "jawOpen": -0.5}),
    Preset("oh", "O", MOUTH, {"mouthFunnel": 1.0}),
    Preset("blinkLeft", "Blink_L", BLINK, {"eyeBlinkLeft": 1.0}),
    Preset("blinkRight", "Blink_R", BLINK, {"eyeBlinkRight": 1.0}),
    Preset("blink", "Blink", BLINK, _both("eyeBlink", 0.5)),  # where there is no wink
    Preset("lookUp", "LookUp", LOOK, {**_both("eyeLookUp", 0.5), **_both("eyeLookDown", -0.5)}),
    Preset("lookDown", "LookDown", LOOK, {**_both("eyeLookDown", 0.5), **_both("eyeLookUp", -0.5)}),
    Preset("lookLeft", "LookLeft", LOOK, {"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5}),
    Preset("lookRight", "LookRight", LOOK, {"eyeLookInLeft": 0.5, "eyeLookOutRight": 0.5}),
    Preset("happy", "Joy", None, {**_both("mouthSmile", 0.35), **_both("cheekSquint", 0.35)}, -0.4),
    Preset("relaxed", "Fun", None, {**_both("mouthSmile", 0.5), **_both("cheekSquint", -0.5)}, -0.3),
    Preset("angry", "Angry", None, {**_both("browDown", 0.5), **_both("noseSneer", 0.2)}, -0.4),
    Preset("sad", "Sorrow", None, {**_both("mouthFrown", 0.45), "browInnerUp": 0.5}, -0.4),
    Preset("surprised", "Surprised", None, {**_both("eyeWide", 0.4), **_both("browOuterUp", 0.3)}, -0.4),
)
PRESET = {preset.name: preset for preset in PRESETS}


class Expressions(NamedTuple):
    """K expressions by name, and how they follow the 52: matrix (52, K), offset (K,)."""

    names: tuple[str, ...]
    matrix: NDArray[np.float32]
    offset: NDArray[np.float32]

    def values(self, coefficients: NDArray[Any]) -> NDArray[np.float32]:
        """(N, 52) -> (N, K) in [0, 1]."""
        return np.clip(np.asarray(coefficients, np.float32) @ self.matrix + self.offset, 0, 1)


def follow(names: Sequence[str], parts: Sequence[Mapping[str, float]], offset: Sequence[float] = ()) -> Expressions:
    """K expressions from the parts of ARKit's shapes that each takes; offset: K values, none for zeros."""
    matrix = np.zeros((len(ARKIT_NAMES), len(parts)), np.float32)
    for column, of_one in enumerate(parts):
        for name, factor in of_one.items():
            matrix[ARKIT_NAMES.index(name), column] = factor
    return Expressions(tuple(names), matrix, np.array(offset or np.zeros(len(parts)), np.float32))


@dataclass(frozen=True)
class Clips:
    """An avatar's driven expressions. kind: (K,) BLINK, LOOK, MOUTH or -1. binary: (K,) on above a half, else off.
    override: (3, K) how much of the kinds they suppress: 0 nothing, 1 as much as they show, 2 all as soon as they
    show. binds: (K, M) morph weights at value 1."""

    shown: Expressions
    kind: NDArray[np.int64]
    binary: NDArray[np.bool_]
    override: NDArray[np.int64]
    binds: NDArray[np.float32]

    @property
    def is_perfect(self) -> bool:
        """Whether they are ARKit's own."""
        return has_face(np.array([canonical_name(name) is not None for name in self.shown.names]))

    def without(self, rows: Sequence[int]) -> Clips:
        """The same, but deaf to some of the 52."""
        matrix = self.shown.matrix.copy()
        matrix[list(rows)] = 0
        return replace(self, shown=self.shown._replace(matrix=matrix))

    def weights(self, coefficients: NDArray[Any]) -> NDArray[np.float32]:
        """Morph weights (N, M), not clipped yet, of N coefficient vectors (N, 52)."""
        return apply_overrides(self, self.shown.values(coefficients)) @ self.binds


def apply_overrides(clips: Clips, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Expression values (N, K) after what they do to each other, each row for itself.

    As VRM 1.0 says: binary ones count as shown; a kind keeps one minus the sum of what suppresses it, at least
    nothing; a binary one that is suppressed at all is off; nothing suppresses its own kind.
    """
    shown = np.where(clips.binary, values > 0.5, values).astype(np.float32)
    kept = np.ones_like(shown)
    for kind, override in enumerate(clips.override):
        takes = shown @ ((override == 1) & (clips.kind != kind)) + (shown > 0) @ ((override == 2) & (clips.kind != kind))
        kept[:, clips.kind == kind] = np.clip(1 - takes, 0, 1)[:, None]
    return np.where(clips.binary & (kept < 1), 0, shown * kept)


def has_face(known: NDArray[np.bool_]) -> bool:
    """Whether so many of ARKit's names make a face of their own."""
    return int(known.sum()) >= _ENOUGH


def version_of(document: Document) -> str | None:
    """ "0.x", "1.0" or None for a file that is no VRM."""
    extensions = document.get("extensions") or {}
    return "1.0" if "VRMC_vrm" in extensions else "0.x" if "VRM" in extensions else None


def humanoid(document: Document) -> dict[str, int]:
    """VRM's bones by name, 1.0 or 0.x; empty for other files."""
    extensions = document.get("extensions", {})
    bones = extensions.get("VRMC_vrm", {}).get("humanoid", {}).get("humanBones", {})
    old = extensions.get("VRM", {}).get("humanoid", {}).get("humanBones", [])
    found = {name: bone.get("node") for name, bone in bones.items()} | {b.get("bone"): b.get("node") for b in old}
    count = len(document.get("nodes", []))
    return {name: node for name, node in found.items() if isinstance(node, int) and 0 <= node < count}


def looks_by_expression(document: Document) -> bool:
    """Whether the avatar itself says that expressions move its gaze, not eye bones."""
    extensions = document.get("extensions", {})
    new = extensions.get("VRMC_vrm", {}).get("lookAt", {}).get("type")
    return new == "expression" or extensions.get("VRM", {}).get("firstPerson", {}).get("lookAtTypeName") == "BlendShape"


def eye_reach(document: Document) -> NDArray[np.float64]:
    """(4,) how far an eye bone turns in, out, down and up at coefficient 1, radians: a person's reach, or less if the
    avatar says that its eyes (often large and flat) cannot."""
    extensions = document.get("extensions", {})
    new, old = extensions.get("VRMC_vrm", {}).get("lookAt", {}), extensions.get("VRM", {}).get("firstPerson", {})
    reach = np.array([EYE_TURN_RAD[0]] * 2 + [EYE_TURN_RAD[1]] * 2)
    for k, place in enumerate(("HorizontalInner", "HorizontalOuter", "VerticalDown", "VerticalUp")):
        degrees = new.get(f"rangeMap{place}", {}).get("outputScale", old.get(f"lookAt{place}", {}).get("yRange"))
        if isinstance(degrees, (int, float)) and 0 < degrees < 90:
            reach[k] = min(reach[k], np.deg2rad(degrees))
    return reach


class _Clip(NamedTuple):
    """One expression as the file has it: its preset's name or ARKit's name for it, if it has one of these."""

    name: str
    preset: str | None
    arkit: str | None
    binary: bool
    override: tuple[int, ...]  # as `Clips.override`
    binds: NDArray[np.float32]  # (M,)


def load_clips(document: Document, morphs: Sequence[Morph], by_joints: bool) -> Clips | None:
    """The expressions of a VRM that the 52 drive, None if it has none or is no VRM. by_joints: eye joints make the
    gaze."""
    version = version_of(document)
    if version is None:
        return None
    clips = _new_clips(document, morphs) if version == "1.0" else _old_clips(document, morphs)
    arkit = {clip.arkit: clip for clip in clips if clip.arkit and clip.binds.any()}
    by_preset = {clip.preset: clip for clip in clips if clip.preset and clip.binds.any()}
    if len(arkit) >= _ENOUGH:  # perfect sync
        by_preset = {}
    if {"blinkLeft", "blinkRight"} <= set(by_preset):
        by_preset.pop("blink", None)
    presets = [p for p in PRESETS if p.name in by_preset and not (by_joints and p.kind == LOOK)]
    taken = {part for preset in presets for part, factor in preset.parts.items() if factor > 0}
    alone = {name: clip for name, clip in arkit.items() if name not in taken}
    chosen = [*(by_preset[preset.name] for preset in presets), *alone.values()]
    if not chosen:
        return None
    parts = [dict(preset.parts) for preset in presets] + [{name: 1.0} for name in alone]
    return Clips(
        shown=follow([clip.name for clip in chosen], parts, [p.offset for p in presets] + [0.0] * len(alone)),
        kind=np.array([-1 if p.kind is None else p.kind for p in presets] + [-1] * len(alone)),
        binary=np.array([clip.binary for clip in chosen]),
        override=np.array([clip.override for clip in chosen]).T,
        binds=np.stack([clip.binds for clip in chosen]),
    )


def _new_clips(document: Document, morphs: Sequence[Morph]) -> list[_Clip]:
    """VRM 1.0: presets by their key, binds by node."""
    groups, strength = document["extensions"]["VRMC_vrm"].get("expressions", {}), {"blend": 1, "block": 2}
    clips = []
    for kind in ("preset", "custom"):
        for name, item in groups.get(kind, {}).items():
            override = tuple(strength.get(item.get(key, "none"), 0) for key in _OVERRIDES)
            binds = [(b.get("node"), b.get("index"), b.get("weight", 0)) for b in item.get("morphTargetBinds", [])]
            preset = name if kind == "preset" and name in PRESET else None
            weights = _bind(morphs, [morph.node for morph in morphs], binds)
            clips.append(_Clip(name, preset, canonical_name(name), bool(item.get("isBinary")), override, weights))
    return clips


def _old_clips(document: Document, morphs: Sequence[Morph]) -> list[_Clip]:
    """VRM 0.x: groups by preset, else by name, binds by mesh in percent. It knows no overrides: feelings let blinks
    and lips go as far as they show themselves, since there too both at once open or close what is open or closed."""
    presets = {preset.old_name.lower(): preset.name for preset in PRESETS}
    clips = []
    for group in document["extensions"]["VRM"].get("blendShapeMaster", {}).get("blendShapeGroups", []):
        name, key = str(group.get("name", "")), str(group.get("presetName", "unknown")).lower()
        preset = presets.get(name.lower() if key in ("unknown", "") else key)
        override = (1, 0, 1) if preset and PRESET[preset].kind is None else (0, 0, 0)
        binds = [(b.get("mesh"), b.get("index"), b.get("weight", 0) / 100) for b in group.get("binds", [])]
        weights = _bind(morphs, [document["nodes"][morph.node]["mesh"] for morph in morphs], binds)
        clips.append(_Clip(name, preset, canonical_name(name), bool(group.get("isBinary")), override, weights))
    return clips


def _bind(morphs: Sequence[Morph], owners: Sequence[int], binds: list[tuple[Any, Any, float]]) -> NDArray[np.float32]:
    """(M,) weights of (owner, target number, weight) binds; those to what is not there, which occur, do nothing."""
    weights = np.zeros(morphs[-1].stop if morphs else 0, np.float32)
    for owner, index, weight in binds:
        if not np.isfinite(weight) or abs(weight) > 1e3:
            raise ValueError(f"a VRM expression has a weight of {weight:g} (expected 0 to 1, or 0 to 100 in VRM 0.x)")
        for morph, its_owner in zip(morphs, owners, strict=True):
            if its_owner == owner and isinstance(index, int) and 0 <= index < morph.stop - morph.start:
                weights[morph.start + index] += weight
    return weights
