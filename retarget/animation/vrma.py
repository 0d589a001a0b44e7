"""Write a take as VRM animation files (.vrma): head, neck, gaze and expressions, for any VRM avatar.

Format: VRMC_vrm_animation 1.0. The avatar's own file is not needed. Each expression is a node whose x is its weight, so each
curve has its own keyframes.

Letters: K frames of one actor.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.animation.frames import frame_rate, to_frames
from retarget.animation.keyframes import reduce_linear, reduce_rotations
from retarget.animation.pose import NECK_SHARE
from retarget.arkit import ARKIT_NAMES, EYE_TURN_RAD, eye_angles
from retarget.geometry.rotations import (
    matrix_to_quaternion,
    quaternion_to_matrix,
    rotation_about,
    scale_rotation,
    shortest_path_signs,
)
from retarget.gltf.accessors import add_accessor
from retarget.gltf.document import Document, Glb, add, check_output_name, write_glb
from retarget.io.scene_arguments import ExpressionKind
from retarget.performance.take import Take
from retarget.rig.vrm.expressions import expression_map
from retarget.rig.vrm.presets import GAZE, PRESETS

SUFFIX = ".vrma"

_EYES_ABOVE_HEAD_BONE_M = 0.06
# Bones that VRM requires, and the neck: name, parent, offset from the parent in meters. T-pose, facing +z.
_LEG = (("UpperLeg", "hips", (0.09, -0.05, 0)), ("LowerLeg", "UpperLeg", (0, -0.4, 0)), ("Foot", "LowerLeg", (0, -0.4, 0)))
_ARM = (("UpperArm", "spine", (0.15, 0.35, 0)), ("LowerArm", "UpperArm", (0.25, 0, 0)), ("Hand", "LowerArm", (0.25, 0, 0)))
_SPINE = (("hips", "", (0, 0.9, 0)), ("spine", "hips", (0, 0.1, 0)), ("neck", "spine", (0, 0.42, 0)), ("head", "neck", (0, 0.08, 0)))


class _Curve(NamedTuple):
    """One animated property. values: (K, 3) or (K, 4) float32; keys: numbers of the frames that are keyframes."""

    node: int
    path: str
    values: NDArray[np.float32]
    keys: NDArray[np.int64]


def write_vrma(
    take: Take,
    path: Path,
    fps: float | None = None,
    tolerance: float = 0.0,
    expressions: ExpressionKind = "preset",
) -> list[Path]:
    """Write one file for each person.

    Args:
        take: The performance.
        path: The .vrma file to write. Of several people each has a file, NAME-person-ACTOR.vrma.
        fps: Frames a second; keyframes lie on whole frames. None: those of the take.
        tolerance: Largest error of a weight, and of a rotation in radians, that leaving out a keyframe may cause.
        expressions: "preset": VRM's presets, which every avatar has, and ARKit's shapes that no preset expresses.
            "arkit": ARKit's 52 shapes, for avatars that have them all ("perfect sync"). Both together would move such an
            avatar twice.

    Returns:
        The files written. Time 0 of each is the first sample of the take, so that people who are played together stay in time.

    Raises:
        ValueError: The take is empty, the path does not end in .vrma, or an argument is out of range.
    """
    check_output_name(path, (SUFFIX,))
    if not len(take):
        raise ValueError(f"{path}: the take has no samples, so there is nothing to animate")
    fps = fps or frame_rate(take)
    take = to_frames(take, fps)
    actors = take.actors()
    files = [path] if len(actors) == 1 else [path.with_stem(f"{path.stem}-person-{actor}") for actor in actors]
    built = [build_vrma(take[take.actor == actor], tolerance, expressions) for actor in actors]
    for glb, file in zip(built, files, strict=True):
        write_glb(glb, file)
    return files


def build_vrma(performance: Take, tolerance: float, expressions: ExpressionKind = "preset") -> Glb:
    """Build the file of one person in memory.

    Args:
        performance: K samples of one actor, in ascending order of time, which is that of the file.
        tolerance: As in `write_vrma`.
        expressions: As in `write_vrma`.
    """
    glb = Glb({"asset": {"version": "2.0", "generator": "mfn retarget"}})
    time_s = performance.time_s.astype(np.float32)
    bones = _add_bones(glb)
    turn = quaternion_to_matrix(performance.rotation.astype(np.float64))
    neck = scale_rotation(turn, NECK_SHARE)
    curves = [_rotation(bones["neck"], neck, time_s, tolerance)]
    curves.append(_rotation(bones["head"], neck.transpose(0, 2, 1) @ turn, time_s, tolerance))
    look = add(glb, "nodes", {"name": "lookAt"})
    curves.append(_rotation(look, _gaze(performance.coefficients), time_s, tolerance))
    groups: dict[str, Document] = {"preset": {}, "custom": {}}
    for name, group, weights in _expressions(performance.coefficients, expressions):
        if (np.abs(weights) > tolerance).any():
            node = add(glb, "nodes", {"name": name})
            groups[group][name] = {"node": node}
            values = np.stack([weights, 0 * weights, 0 * weights], axis=1).astype(np.float32)
            curves.append(_Curve(node, "translation", values, _keys(time_s, weights, tolerance)))
    _add_animation(glb, curves, time_s)
    children = {child for node in glb.document["nodes"] for child in node.get("children", [])}
    roots = [number for number in range(len(glb.document["nodes"])) if number not in children]
    extension = {
        "specVersion": "1.0",
        "humanoid": {"humanBones": {name: {"node": node} for name, node in bones.items()}},
        "expressions": {group: items for group, items in groups.items() if items},
        "lookAt": {"node": look, "offsetFromHeadBone": [0.0, _EYES_ABOVE_HEAD_BONE_M, 0.0]},
    }
    if not extension["expressions"]:
        del extension["expressions"]
    glb.document |= {"scene": 0, "scenes": [{"nodes": roots}], "extensionsUsed": ["VRMC_vrm_animation"]}
    glb.document["extensions"] = {"VRMC_vrm_animation": extension}
    return glb


def _add_bones(glb: Glb) -> dict[str, int]:
    """Add the bones in T-pose. Returns bone name -> node."""
    bones: dict[str, int] = {}
    limbs: list[tuple[str, str, tuple[float, float, float]]] = list(_SPINE)
    for side, sign in (("left", 1), ("right", -1)):
        for name, parent, (x, y, z) in (*_LEG, *_ARM):
            limbs.append((side + name, parent if parent in ("hips", "spine") else side + parent, (sign * x, y, z)))
    for name, parent, offset in limbs:
        bones[name] = add(glb, "nodes", {"name": name, "translation": [float(v) for v in offset]})
        if parent:
            glb.document["nodes"][bones[parent]].setdefault("children", []).append(bones[name])
    return bones


def _expressions(
    coefficients: NDArray[np.float32], kind: ExpressionKind
) -> list[tuple[str, str, NDArray[np.float32]]]:
    """(name, "preset" or "custom", (K,) weights) of every expression."""
    own = set(ARKIT_NAMES)
    result: list[tuple[str, str, NDArray[np.float32]]] = []
    if kind == "preset":
        presets = [preset for preset in PRESETS if preset.kind != GAZE and preset.name != "blink"]
        mapping = expression_map(
            [p.name for p in presets], [p.weights for p in presets], [p.offset for p in presets]
        )
        values = mapping.values(coefficients)
        result = [(preset.name, "preset", values[:, k]) for k, preset in enumerate(presets)]
        own -= {name for preset in presets for name, weight in preset.weights.items() if weight > 0}
    for column, name in enumerate(ARKIT_NAMES):
        if name in own and not name.startswith("eyeLook"):
            result.append((name[0].upper() + name[1:], "custom", coefficients[:, column]))  # as such avatars spell it
    return result


def _gaze(coefficients: NDArray[np.float32]) -> NDArray[np.float64]:
    """(K, 3, 3) mean direction of both eyes relative to the head: yaw to the subject's left, pitch down."""
    yaw, pitch = eye_angles(coefficients, EYE_TURN_RAD).mean(axis=1).T
    result: NDArray[np.float64] = rotation_about("y", yaw) @ rotation_about("x", pitch)
    return result


def _rotation(node: int, turn: NDArray[np.float64], time_s: NDArray[np.float32], tolerance: float) -> _Curve:
    """The curve of rotations (K, 3, 3)."""
    values = shortest_path_signs(matrix_to_quaternion(turn)).astype(np.float32)
    keys = np.arange(len(values)) if tolerance == 0 else reduce_rotations(time_s, values, tolerance)
    is_still = 2 * np.abs(values - values[:1]).max() <= tolerance
    return _Curve(node, "rotation", values, keys[:1] if is_still else keys)


def _keys(time_s: NDArray[np.float32], weights: NDArray[np.float32], tolerance: float) -> NDArray[np.int64]:
    """The keyframes of a weight; one where it does not change."""
    if np.ptp(weights) <= tolerance:
        return np.zeros(1, np.int64)
    return np.arange(len(weights)) if tolerance == 0 else reduce_linear(time_s, weights, tolerance)


def _add_animation(glb: Glb, curves: list[_Curve], time_s: NDArray[np.float32]) -> None:
    """Add the only animation. Equal times are stored once."""
    input_of: dict[bytes, int] = {}
    animation: dict[str, Any] = {"name": "take", "channels": [], "samplers": []}
    for curve in curves:
        times = time_s[curve.keys]
        if times.tobytes() not in input_of:
            input_of[times.tobytes()] = add_accessor(glb, times)
        output = add_accessor(glb, curve.values[curve.keys])
        animation["channels"].append({"sampler": len(animation["samplers"]), "target": {"node": curve.node, "path": curve.path}})
        animation["samplers"].append({"input": input_of[times.tobytes()], "output": output, "interpolation": "LINEAR"})
    glb.document["animations"] = [animation]
