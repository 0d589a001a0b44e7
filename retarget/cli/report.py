"""Describe a rig in words: what each of ARKit's 52 coefficients moves, and what the rig lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.rig.drivers import replaced_targets
from retarget.rig.joints.jaw import JAW_ROWS
from retarget.rig.names.name_map import node_name
from retarget.rig.rig import Rig
from retarget.rig.vrm.avatar import vrm_version

_MAX_LISTED_TARGETS = 4  # of one expression


class Effect(NamedTuple):
    """What one coefficient moves: "Face.jawOpen, Teeth.jawOpen 0.5", "aa (Face.A)", "left eye joint", or "" for nothing."""

    name: str
    targets: str


def list_effects(rig: Rig) -> list[Effect]:
    """List what each of ARKit's 52 coefficients moves, in ARKIT_NAMES order."""
    owner = [f"{node_name(rig.glb.document, m.node)}.{name}" for m in rig.morphs for name in m.names]
    effects = []
    for row, name in enumerate(ARKIT_NAMES):
        targets = _merge_equal(
            f"{owner[column]}{_factor(float(factor))}"
            for column, factor in enumerate(rig.matrix[row])
            if factor and rig.moves[column]
        )
        targets += _expression_effects(rig, row, owner)
        if rig.eyes_turn and name.startswith("eyeLook"):
            targets.append("left eye joint" if name.endswith("Left") else "right eye joint")
        if rig.jaw is not None and row in JAW_ROWS and rig.jaw.follows()[JAW_ROWS.index(row)]:
            targets.append("jaw joint")
        effects.append(Effect(name, ", ".join(targets)))
    return effects


def _expression_effects(rig: Rig, row: int, owner: list[str]) -> list[str]:
    """The VRM expressions that a coefficient drives, each with its targets in brackets."""
    if rig.expressions is None:
        return []
    effects = []
    mapping, binds = rig.expressions.mapping, rig.expressions.binds
    for number, factor in enumerate(mapping.matrix[row]):
        bound = [k for k in range(len(owner)) if binds[number, k] and rig.moves[k]]
        if factor > 0 and bound:
            listed = [f"{owner[k]}{_factor(float(binds[number, k]))}" for k in bound[:_MAX_LISTED_TARGETS]]
            if len(bound) > _MAX_LISTED_TARGETS:
                listed.append(f"{len(bound) - _MAX_LISTED_TARGETS} more")
            effects.append(f"{mapping.names[number]}{_factor(float(factor))} ({', '.join(listed)})")
    return effects


def _merge_equal(targets: Iterable[str]) -> list[str]:
    """Targets of one name, such as those of the characters of a scene, as one entry with their number."""
    return [target if count == 1 else f"{target} ({count} times)" for target, count in Counter(targets).items()]


def _factor(factor: float) -> str:
    return "" if factor == 1 else f" {factor:g}"


def describe_rig(rig: Rig) -> list[str]:
    """Describe a rig.

    Returns:
        Lines: the effects of the 52, the joints and how they were found, facts of the file, and last what is missing.
    """
    document, effects = rig.glb.document, list_effects(rig)
    empty = replaced_targets(rig.matrix, rig.moves, [name for morph in rig.morphs for name in morph.names])
    lines = []
    for effect in effects:
        note = f" ({empty[effect.name][0]} is empty)" if effect.name in empty else ""
        lines.append(f"{effect.name:20s} {effect.targets or 'no effect'}{note}")
    joints = [("head joint", rig.joints.head, 0), ("neck joint", rig.joints.neck, 1)]
    joints += [(f"{side} eye joint", (rig.eyes or (None, None))[k], 2) for k, side in enumerate(("left", "right"))]
    joints.append(("jaw joint", rig.joints.jaw, 3))
    for what, joint, kind in joints:
        found = "none" if joint is None else f"{node_name(document, joint)} ({rig.joints.found_by[kind]})"
        lines.append(f"{what:20s} {found}")
    gaze = "eye joints" if rig.eyes_turn else "VRM expressions" if _expressions_move_gaze(rig) else "morph targets"
    has_gaze = any(effect.targets for effect in effects if effect.name.startswith("eyeLook"))
    version = vrm_version(document)
    driver = "morph targets" if rig.expressions is None else f"{len(rig.expressions.mapping.names)} VRM expressions"
    facts = [
        ("gaze", gaze if has_gaze else "none"),
        ("body", "stays upright, the head turns" if rig.has_body else "none, the whole character turns"),
        ("scaled by", f"{rig.scale:g}"),
        ("VRM", f"{version}, driven by {driver}" if version else "no"),
    ]
    if not (rig.front_rotation == np.eye(3)).all():
        facts.append(("turned", f"it faces {_axis(rig.front_rotation[2])}, its top is {_axis(rig.front_rotation[1])}"))
    if rig.response.is_changed:
        facts.append(("response", rig.response.describe()))
    facts.append(("extensions", ", ".join(document.get("extensionsUsed", [])) or "none"))
    lines += [f"{what:20s} {text}" for what, text in facts]
    if rig.undriven:
        lines.append(f"{'not driven':20s} {len(rig.undriven)} of its targets: {', '.join(rig.undriven)}")
    lines += [f"{'remark':20s} {remark}" for remark in rig.remarks]
    effect_count = f"{len(ARKIT_NAMES) - len(rig.unmapped)} of {len(ARKIT_NAMES)} have an effect"
    missing = f"missing: {', '.join(rig.unmapped)}" if rig.unmapped else "nothing is missing"
    return [*lines, f"{effect_count}; {missing}"]


def _axis(direction: NDArray[np.float64]) -> str:
    """The name of the axis that a direction (3,) points along, such as "-z"."""
    axis = int(np.abs(direction).argmax())
    return f"{'-' if direction[axis] < 0 else '+'}{'xyz'[axis]}"


def _expressions_move_gaze(rig: Rig) -> bool:
    rows = [row for row, name in enumerate(ARKIT_NAMES) if name.startswith("eyeLook")]
    return rig.expressions is not None and bool((rig.expressions.mapping.matrix[rows] > 0).any())
