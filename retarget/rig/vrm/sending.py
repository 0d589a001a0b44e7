"""Which expressions a program sends to an avatar that another program draws, and under which names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.gltf.node_tree import Document
from retarget.rig.morph_targets import find_morphs
from retarget.rig.vrm.avatar import (
    VrmVersion,
    choose_expressions,
    gaze_uses_expressions,
    humanoid_bones,
    read_expressions,
    vrm_version,
)
from retarget.rig.vrm.expressions import ExpressionMap, VrmExpressions, expression_map
from retarget.rig.vrm.presets import BLINK, MOUTH, PRESETS, Preset

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
        mapping = expression_map([name[0].upper() + name[1:] for name in ARKIT_NAMES], [{name: 1.0} for name in ARKIT_NAMES])
        return _not_drawn(mapping, np.full(len(ARKIT_NAMES), -1), np.zeros((3, len(ARKIT_NAMES)), np.int64))
    if names not in EXPRESSION_NAMES:
        raise ValueError(f"expression names {names!r}: expected vrm0, vrm1 or arkit")
    return _of_presets([preset for preset in PRESETS if preset.name != "blink"], "1.0" if names == "vrm1" else "0.x")


def expressions_of_avatar(document: Document) -> VrmExpressions:
    """Return the expressions to send to an avatar: all that its file has.

    Args:
        document: The JSON document of the avatar's VRM file.

    Returns:
        The expressions that also drive the avatar in our pictures (see `choose_expressions`), under the names by which programs
        know them: these distinguish upper and lower case. Expressions that change nothing are left out, unless all are so, and gaze
        presets where eye bones move the gaze. A file without expressions gets the set of its VRM version.

    Raises:
        ValueError: The expressions of the file are damaged.
    """
    try:
        expressions = read_expressions(document, find_morphs(document) if "scenes" in document else ())
    except (AttributeError, TypeError):
        raise ValueError("its VRM expressions are damaged (expected groups or custom expressions with names)") from None
    shown = [e for e in expressions if e.binds.any() or e.has_colors] or expressions
    driven = choose_expressions(shown, has_eye_bones(document))
    is_new = vrm_version(document) == "1.0"
    if not driven:
        return expressions_by_names("vrm1" if is_new else "vrm0")
    override = np.array([d.expression.override for d in driven]).T
    return _not_drawn(
        expression_map([d.expression.sent_name for d in driven], [d.weights for d in driven], [d.offset for d in driven]),
        kind=np.array([d.kind for d in driven]),
        override=np.zeros_like(override) if is_new else override,  # programs apply those of VRM 1.0 themselves
    )


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
    return _not_drawn(
        expression_map(names, weights, [preset.offset for preset in presets]),
        kind=np.array([-1 if preset.kind is None else preset.kind for preset in presets]),
        override=override,
    )


def _not_drawn(mapping: ExpressionMap, kind: NDArray[np.int64], override: NDArray[np.int64]) -> VrmExpressions:
    """K expressions without morph weights: the program that receives their values draws them."""
    count = len(mapping.names)
    return VrmExpressions(mapping, kind, np.zeros(count, bool), override, np.zeros((count, 0), np.float32))
