"""Which expressions a program sends to an avatar that another program draws, and under which names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from retarget.arkit import ARKIT_NAMES, canonical_name
from retarget.gltf.node_tree import Document
from retarget.rig.vrm.avatar import VrmVersion, gaze_uses_expressions, humanoid_bones, vrm_version
from retarget.rig.vrm.expressions import VrmExpressions, covers_face, expression_map
from retarget.rig.vrm.presets import BLINK, GAZE, MOUTH, PRESETS, Preset

ExpressionNames = Literal["vrm0", "vrm1", "arkit"]
"""Sets of expression names: VRM 0.x's, VRM 1.0's, or ARKit's 52."""
EXPRESSION_NAMES: tuple[ExpressionNames, ...] = get_args(ExpressionNames)


def expressions_by_names(names: ExpressionNames = "vrm0") -> VrmExpressions:
    """Return the expressions to send to an avatar whose file is not known.

    Args:
        names: "vrm0" for VRM 0.x's presets (A I U E O Blink_L Blink_R LookUp … Joy …), "vrm1" for those of VRM 1.0
            (aa ih …), or "arkit" for all 52 as avatars with "perfect sync" spell them (BrowInnerUp, JawOpen …).

    Raises:
        ValueError: The names are unknown.
    """
    if names == "arkit":
        return _one_by_one([name[0].upper() + name[1:] for name in ARKIT_NAMES], ARKIT_NAMES)
    if names not in EXPRESSION_NAMES:
        raise ValueError(f"expression names {names!r}: expected vrm0, vrm1 or arkit")
    return _of_presets([preset for preset in PRESETS if preset.name != "blink"], "1.0" if names == "vrm1" else "0.x")


def expressions_of_avatar(document: Document) -> VrmExpressions:
    """Return the expressions to send to an avatar: all that its file has.

    Args:
        document: The JSON document of the avatar's VRM file.

    Returns:
        The avatar's expressions that are named after ARKit's shapes, if there are enough for a face; otherwise its
        presets. Gaze presets are left out where eye bones move the gaze, and `blink` where it can wink. Receiving
        programs distinguish upper and lower case. A file without expressions gets the set of its VRM version.

    Raises:
        ValueError: The expressions of the file are damaged.
    """
    extensions = document.get("extensions", {})
    try:
        old = extensions.get("VRM", {}).get("blendShapeMaster", {}).get("blendShapeGroups", [])
        new = extensions.get("VRMC_vrm", {}).get("expressions", {})
        names = [str(group.get("name", "")) for group in old] + [str(name) for name in new.get("custom", {})]
        kinds = [str(group.get("presetName", "unknown")).lower() for group in old]
        own_presets = {name.lower() if kind in ("unknown", "") else kind for name, kind in zip(names, kinds, strict=False)}
        own_presets |= {str(name).lower() for name in new.get("preset", {})}
    except (AttributeError, TypeError):
        raise ValueError("its VRM expressions are damaged (expected groups or custom expressions with names)") from None
    own = {known: name for name in names if (known := canonical_name(name)) is not None}
    if covers_face(np.array([name in own for name in ARKIT_NAMES])):
        return _one_by_one(list(own.values()), list(own))
    version = vrm_version(document) or "0.x"
    found = [preset for preset in PRESETS if _name(preset, version).lower() in own_presets]
    if {"blinkLeft", "blinkRight"} <= {preset.name for preset in found}:
        found = [preset for preset in found if preset.name != "blink"]
    if has_eye_bones(document):
        found = [preset for preset in found if preset.kind != GAZE]
    return _of_presets(found, version) if found else expressions_by_names("vrm1" if version == "1.0" else "vrm0")


def has_eye_bones(document: Document) -> bool:
    """Return whether eye bones move the avatar's gaze."""
    return {"leftEye", "rightEye"} <= set(humanoid_bones(document)) and not gaze_uses_expressions(document)


def _name(preset: Preset, version: VrmVersion) -> str:
    return preset.name if version == "1.0" else preset.vrm0_name


def _of_presets(presets: Sequence[Preset], version: VrmVersion) -> VrmExpressions:
    """Presets under their standard names. In VRM 0.x, which has no overrides, emotions suppress blinks and the mouth."""
    is_emotion = np.array([preset.kind is None for preset in presets])
    override = np.zeros((3, len(presets)), np.int64)
    if version == "0.x":
        override[[BLINK, MOUTH]] = is_emotion
    names, weights = [_name(preset, version) for preset in presets], [preset.weights for preset in presets]
    return VrmExpressions(
        mapping=expression_map(names, weights, [preset.offset for preset in presets]),
        kind=np.array([-1 if preset.kind is None else preset.kind for preset in presets]),
        is_binary=np.zeros(len(presets), bool),
        override=override,
        binds=np.zeros((len(presets), 0), np.float32),
    )


def _one_by_one(names: Sequence[str], arkit_names: Sequence[str]) -> VrmExpressions:
    """Expressions of which each follows one coefficient."""
    count = len(names)
    return VrmExpressions(
        mapping=expression_map(names, [{own: 1.0} for own in arkit_names]),
        kind=np.full(count, -1),
        is_binary=np.zeros(count, bool),
        override=np.zeros((3, count), np.int64),
        binds=np.zeros((count, 0), np.float32),
    )
