"""Read the bones, the gaze and the expressions of a VRM 0.x or 1.0 file.

An avatar whose expressions are named after ARKit's shapes ("perfect sync") is driven by these one by one. Any other
avatar is driven by VRM's presets, through the table in `presets`.

Letters: K expressions, M morph targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EYE_TURN_RAD, canonical_name
from retarget.gltf.node_tree import Document
from retarget.rig.morph_targets import MorphNode
from retarget.rig.vrm.expressions import MIN_ARKIT_SHAPES, VrmExpressions, expression_map
from retarget.rig.vrm.presets import GAZE, PRESET_BY_NAME, PRESETS

_OVERRIDE_KEYS = ("overrideBlink", "overrideLookAt", "overrideMouth")  # in the order of BLINK, GAZE, MOUTH
_OVERRIDE_LEVELS = {"blend": 1, "block": 2}
_EMOTION_OVERRIDE_VRM0 = (1, 0, 1)  # blend blinks and the mouth
_MIN_BINARY_FACTOR_VRM0 = 0.5
_MAX_BIND_WEIGHT = 1e3
_COLOR_KEYS = ("materialColorBinds", "textureTransformBinds", "materialValues")  # of VRM 1.0 and, the last one, 0.x
_EYE_DIRECTIONS = ("HorizontalInner", "HorizontalOuter", "VerticalDown", "VerticalUp")

VrmVersion = Literal["0.x", "1.0"]


def vrm_version(document: Document) -> VrmVersion | None:
    """Return "0.x" or "1.0", or None if the file is no VRM."""
    extensions = document.get("extensions") or {}
    return "1.0" if "VRMC_vrm" in extensions else "0.x" if "VRM" in extensions else None


def humanoid_bones(document: Document) -> dict[str, int]:
    """Return VRM's bones: bone name -> node number. Empty for other files."""
    extensions = document.get("extensions", {})
    bones = extensions.get("VRMC_vrm", {}).get("humanoid", {}).get("humanBones", {})
    old = extensions.get("VRM", {}).get("humanoid", {}).get("humanBones", [])
    found = {name: bone.get("node") for name, bone in bones.items()} | {b.get("bone"): b.get("node") for b in old}
    count = len(document.get("nodes", []))
    return {name: node for name, node in found.items() if isinstance(node, int) and 0 <= node < count}


def gaze_uses_expressions(document: Document) -> bool:
    """Return whether the avatar states that expressions move its gaze, not eye bones."""
    extensions = document.get("extensions", {})
    new = extensions.get("VRMC_vrm", {}).get("lookAt", {}).get("type")
    old = extensions.get("VRM", {}).get("firstPerson", {}).get("lookAtTypeName")
    return bool(new == "expression" or old == "BlendShape")


def max_eye_angles_rad(document: Document) -> NDArray[np.float64]:
    """Return how far an eye bone turns at coefficient 1.

    Returns:
        (4,) angles in, out, down and up in radians: those of a person, or the limits of the avatar where they are
        smaller (large, flat eyes turn less, and not at all at a limit of 0). Where expressions move the gaze, the file has no
        limits: its numbers are weights of expressions.
    """
    if gaze_uses_expressions(document):
        return np.array(EYE_TURN_RAD)
    extensions = document.get("extensions", {})
    new, old = extensions.get("VRMC_vrm", {}).get("lookAt", {}), extensions.get("VRM", {}).get("firstPerson", {})
    limits = np.array(EYE_TURN_RAD)
    for k, direction in enumerate(_EYE_DIRECTIONS):
        vrm0_deg = old.get(f"lookAt{direction}", {}).get("yRange")
        limit_deg = new.get(f"rangeMap{direction}", {}).get("outputScale", vrm0_deg)
        if isinstance(limit_deg, (int, float)) and 0 <= limit_deg < 90:
            limits[k] = min(limits[k], np.deg2rad(limit_deg))
    return limits


class Expression(NamedTuple):
    """One expression of a file.

    Attributes:
        name: Its name in the file.
        sent_name: The name by which other programs know it. In VRM 0.x it is the preset's, if the file states the preset.
        preset: VRM 1.0's name of a preset, or None.
        arkit: ARKit's name, or None.
        is_binary: It is on or off.
        override: (3,) as in `VrmExpressions.override`.
        binds: (M,) morph weights.
        has_colors: It changes colors or textures.
    """

    name: str
    sent_name: str
    preset: str | None
    arkit: str | None
    is_binary: bool
    override: tuple[int, ...]
    binds: NDArray[np.float32]
    has_colors: bool


def unseen_expressions(document: Document, morphs: Sequence[MorphNode], moves: NDArray[np.bool_]) -> list[str]:
    """Return the names of the preset expressions and ARKit shapes of a VRM that change colors or textures only.

    glTF cannot animate them, so that they are not shown. Arguments as in `load_vrm_expressions`.
    """
    expressions = read_expressions(document, morphs)
    return [e.name for e in expressions if (e.preset or e.arkit) and e.has_colors and not e.binds[moves].any()]


def read_expressions(document: Document, morphs: Sequence[MorphNode] = ()) -> list[Expression]:
    """Read all expressions of a VRM. Other files have none.

    Args:
        document: The glTF document.
        morphs: Its morph nodes. None given: the expressions come without morph weights.
    """
    version = vrm_version(document)
    if version is None:
        return []
    return _read_vrm1(document, morphs) if version == "1.0" else _read_vrm0(document, morphs)


class DrivenExpression(NamedTuple):
    """An expression and what drives it: `clip(offset + sum of weight * coefficient, 0, 1)`. kind: as in `VrmExpressions.kind`."""

    expression: Expression
    kind: int
    weights: Mapping[str, float]
    offset: float


def choose_expressions(expressions: Sequence[Expression], eyes_turn: bool) -> list[DrivenExpression]:
    """Choose which expressions ARKit's coefficients drive, so that each shape is shown once.

    Args:
        expressions: The expressions of an avatar.
        eyes_turn: Eye joints move the gaze, so that gaze presets are left out.

    Returns:
        With "perfect sync", those that are named after ARKit's shapes, and presets for shapes that have no expression. Otherwise
        presets, and those with ARKit's names for shapes that no preset shows.
    """
    by_arkit = {e.arkit: e for e in expressions if e.arkit}
    by_preset = {e.preset: e for e in expressions if e.preset}
    is_perfect = len(by_arkit) >= MIN_ARKIT_SHAPES
    if is_perfect:
        by_preset = {name: e for name, e in by_preset.items() if PRESET_BY_NAME[name].fills(by_arkit)}
    if {"blinkLeft", "blinkRight"} <= set(by_preset):
        by_preset.pop("blink", None)
    presets = [p for p in PRESETS if p.name in by_preset and not (eyes_turn and p.kind == GAZE)]
    used = {name for preset in presets for name, weight in preset.weights.items() if weight > 0}
    driven = []
    for preset in presets:
        weights = {name: weight for name, weight in preset.weights.items() if not (is_perfect and name in by_arkit)}
        driven.append(DrivenExpression(by_preset[preset.name], -1 if preset.kind is None else preset.kind, weights, preset.offset))
    return driven + [DrivenExpression(e, -1, {name: 1.0}, 0.0) for name, e in by_arkit.items() if name not in used]


def load_vrm_expressions(
    document: Document, morphs: Sequence[MorphNode], moves: NDArray[np.bool_], eyes_turn: bool
) -> VrmExpressions | None:
    """Read the expressions of a VRM that ARKit's coefficients drive.

    Args:
        document: The glTF document.
        morphs: Its morph nodes.
        moves: (M,) whether a target moves any vertex. Expressions of empty targets count as missing.
        eyes_turn: Eye joints move the gaze, so that gaze presets are left out.

    Returns:
        The expressions, or None if the file is no VRM or has none that can be driven.
    """
    shown = [e for e in read_expressions(document, morphs) if e.binds[moves].any()]
    driven = choose_expressions(shown, eyes_turn)
    if not driven:
        return None
    chosen = [d.expression for d in driven]
    return VrmExpressions(
        mapping=expression_map([e.name for e in chosen], [d.weights for d in driven], [d.offset for d in driven]),
        kind=np.array([d.kind for d in driven]),
        is_binary=np.array([e.is_binary for e in chosen]),
        override=np.array([e.override for e in chosen]).T,
        binds=np.stack([e.binds for e in chosen]),
        min_binary_factor=1.0 if vrm_version(document) == "1.0" else _MIN_BINARY_FACTOR_VRM0,
    )


def _read_vrm1(document: Document, morphs: Sequence[MorphNode]) -> list[Expression]:
    """VRM 1.0: presets are found by their key; binds name a node."""
    groups = document["extensions"]["VRMC_vrm"].get("expressions", {})
    owners = [morph.node for morph in morphs]
    expressions = []
    for kind in ("preset", "custom"):
        for name, item in groups.get(kind, {}).items():
            override = tuple(_OVERRIDE_LEVELS.get(item.get(key, "none"), 0) for key in _OVERRIDE_KEYS)
            binds = [_Bind(b.get("node"), b.get("index"), b.get("weight", 0)) for b in item.get("morphTargetBinds", [])]
            preset = name if kind == "preset" and name in PRESET_BY_NAME else None
            weights = _bind_weights(morphs, owners, binds)
            is_binary = bool(item.get("isBinary"))
            has_colors = any(item.get(key) for key in _COLOR_KEYS)
            expressions.append(Expression(name, name, preset, canonical_name(name), is_binary, override, weights, has_colors))
    return expressions


def _read_vrm0(document: Document, morphs: Sequence[MorphNode]) -> list[Expression]:
    """VRM 0.x: presets are found by their preset name, else by their own name; binds name a mesh, weights are percent.

    VRM 0.x has no overrides. We let emotions suppress blinks and the mouth by their own value: an emotion often closes
    the eyes or opens the mouth itself, and both at once would move a vertex twice as far.
    """
    presets = {preset.vrm0_name.lower(): preset.name for preset in PRESETS}
    owners = [document["nodes"][morph.node]["mesh"] for morph in morphs]
    expressions = []
    for group in document["extensions"]["VRM"].get("blendShapeMaster", {}).get("blendShapeGroups", []):
        name, key = str(group.get("name", "")), str(group.get("presetName", "unknown")).lower()
        is_stated = key not in ("unknown", "")
        preset = presets.get(key if is_stated else name.lower())
        sent_name = PRESET_BY_NAME[preset].vrm0_name if preset and is_stated else name
        is_emotion = preset is not None and PRESET_BY_NAME[preset].kind is None
        override = _EMOTION_OVERRIDE_VRM0 if is_emotion else (0, 0, 0)
        binds = [_Bind(b.get("mesh"), b.get("index"), b.get("weight", 0) / 100) for b in group.get("binds", [])]
        weights = _bind_weights(morphs, owners, binds)
        is_binary = bool(group.get("isBinary"))
        has_colors = any(group.get(key) for key in _COLOR_KEYS)
        expressions.append(Expression(name, sent_name, preset, canonical_name(name), is_binary, override, weights, has_colors))
    return expressions


class _Bind(NamedTuple):
    """A morph weight of an expression. owner: node (1.0) or mesh (0.x); index: target of it; weight: 0 to 1."""

    owner: Any
    index: Any
    weight: float


def _bind_weights(
    morphs: Sequence[MorphNode], owners: Sequence[int], binds: Sequence[_Bind]
) -> NDArray[np.float32]:
    """(M,) morph weights of one expression. Binds to nodes or targets that do not exist, which occur, are ignored."""
    weights = np.zeros(morphs[-1].stop if morphs else 0, np.float32)
    for bind in binds:
        if not np.isfinite(bind.weight) or abs(bind.weight) > _MAX_BIND_WEIGHT:
            raise ValueError(
                f"a VRM expression has a weight of {bind.weight:g} (expected 0 to 1, or 0 to 100 in VRM 0.x)"
            )
        for morph, owner in zip(morphs, owners, strict=True):
            is_target = isinstance(bind.index, int) and 0 <= bind.index < morph.stop - morph.start
            if owner == bind.owner and is_target:
                weights[morph.start + bind.index] += bind.weight
    return weights
