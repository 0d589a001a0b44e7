"""What a rig makes of ARKit's 52, in words: `retarget inspect`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.rig.name_map import node_name
from retarget.rig.rig import Rig
from retarget.rig.vrm import version_of

_MOST_TARGETS = 4  # of one expression that are listed


def routes(rig: Rig) -> list[tuple[str, str]]:
    """For each of the 52: its name, and what it moves ("Face.jawOpen, Teeth.jawOpen 0.5", "aa (Face.A)", "left eye
    joint", or "")."""
    owner = [f"{node_name(rig.glb.document, m.node)}.{name}" for m in rig.morphs for name in m.names]
    rows = []
    for row, name in enumerate(ARKIT_NAMES):
        targets = [
            f"{owner[column]}{_factor(float(factor))}"
            for column, factor in enumerate(rig.matrix[row])
            if factor and rig.moving[column]
        ]
        for clip, factor in enumerate(rig.clips.shown.matrix[row] if rig.clips else ()):
            bound = [k for k in range(len(owner)) if rig.clips and rig.clips.binds[clip, k] and rig.moving[k]]
            if rig.clips and factor > 0 and bound:
                parts = [f"{owner[k]}{_factor(float(rig.clips.binds[clip, k]))}" for k in bound[:_MOST_TARGETS]]
                more = [f"{len(bound) - _MOST_TARGETS} more"] if len(bound) > _MOST_TARGETS else []
                targets.append(f"{rig.clips.shown.names[clip]}{_factor(float(factor))} ({', '.join(parts + more)})")
        if rig.eyes_turn and name.startswith("eyeLook"):
            targets.append("left eye joint" if name.endswith("Left") else "right eye joint")
        rows.append((name, ", ".join(targets)))
    return rows


def _factor(factor: float) -> str:
    return "" if factor == 1 else f" {factor:g}"


def describe(rig: Rig) -> list[str]:
    """Lines: the 52, the joints and how they were found, the file, and last what is missing."""
    document = rig.glb.document
    lines = [f"{name:20s} {target or 'no effect'}" for name, target in routes(rig)]
    joints = [("head joint", rig.joints.head, 0), ("neck joint", rig.joints.neck, 1)]
    joints += [(f"{side} eye joint", (rig.eyes or (None, None))[k], 2) for k, side in enumerate(("left", "right"))]
    for what, joint, how in joints:
        found = "none" if joint is None else f"{node_name(document, joint)} ({rig.joints.how[how]})"
        lines.append(f"{what:20s} {found}")
    gaze = "eye joints" if rig.eyes_turn else "VRM expressions" if _looks(rig) else "morph targets"
    driven_by = "morph targets" if rig.clips is None else f"{len(rig.clips.shown.names)} VRM expressions"
    facts = [
        ("gaze", gaze if any(target for name, target in routes(rig) if name.startswith("eyeLook")) else "none"),
        ("body", "stays upright, the head turns" if rig.stands else "none, the whole turns"),
        ("scaled by", f"{rig.scale:g}"),
        ("VRM", f"{version_of(document) or 'no'}{f', driven by {driven_by}' if version_of(document) else ''}"),
        *([] if (rig.faces == np.eye(3)).all() else [("turned", f"it looks to {_axis(rig.faces[2])}, its top is {_axis(rig.faces[1])}")]),
        ("extensions", ", ".join(document.get("extensionsUsed", [])) or "none"),
    ]
    lines += [f"{what:20s} {text}" for what, text in facts]
    if rig.undriven:
        lines.append(f"{'not driven':20s} {len(rig.undriven)} of its targets: {', '.join(rig.undriven)}")
    effect = f"{len(ARKIT_NAMES) - len(rig.unmapped)} of 52 have an effect"
    return [*lines, f"{effect}; missing: {', '.join(rig.unmapped)}" if rig.unmapped else f"{effect}; nothing is missing"]


def _axis(direction: NDArray[np.float64]) -> str:
    """ "-z" and the like, of a direction (3,) along an axis."""
    axis = int(np.abs(direction).argmax())
    return f"{'-' if direction[axis] < 0 else '+'}{'xyz'[axis]}"


def _looks(rig: Rig) -> bool:
    rows = [row for row, name in enumerate(ARKIT_NAMES) if name.startswith("eyeLook")]
    return rig.clips is not None and bool((rig.clips.shown.matrix[rows] > 0).any())
