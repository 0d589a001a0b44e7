"""A take and characters to one glTF scene: everybody in their place, one animation, a camera that sees what was
seen."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.animation.keyframes import reduce_linear, reduce_rotations
from retarget.animation.pose import place, rig_of_actor
from retarget.geometry.node_tree import Floats, local_matrix, matrix_to_quaternion, pure_rotation
from retarget.gltf.accessors import add_accessor
from retarget.gltf.document import Document, Glb, add, write_glb
from retarget.gltf.merge import append_document, copy_nodes, scene_roots
from retarget.io.files import same_file
from retarget.performance.take import Take
from retarget.rig.rig import Rig

_STILL_S = 1.0  # how long the animation of a single picture lasts
_LONG_GAP_S = 0.5  # a person unseen for longer is away; shorter gaps are bridged
_ALONE_S = 0.1  # how long someone stays who was seen once
_PLACE_M = 0.25  # a place may be off by this times the tolerance: a head's size, to a turn of one radian
_TO_LAMP = (-0.35, 0.55, 0.75)


def write_scene(
    take: Take,
    rigs: Sequence[Rig],
    path: str | os.PathLike[str],
    width: int = 1280,
    height: int = 720,
    focal_px: float | None = None,
    tolerance: float = 0.0,
) -> None:
    """Write a .glb (or .gltf) in which each actor of the take is a character that stands where the person is.

    Actors in ascending order take the rigs in turn; characters of one rig share its meshes, each has its own nodes,
    skeleton and weights. One animation holds the keys, from the take's first time on at 0 s (a single moment is held
    for a second): all of an actor's samples or, with a tolerance above 0, the fewest of them from which a player gets
    the others back to within it (weights; turns in radians; places in quarters of a metre). width, height, focal_px:
    the picture, for the camera; None: its longer side. Materials, textures and skins stay as the rig has them; so do
    its morph targets, whatever attributes they move, and its own animations, after the take's.
    """
    for rig in rigs:
        if same_file(path, rig.glb.path):
            raise ValueError(f"{path}: this is a character's own file; give the scene another name")
    glb = build_scene(take, rigs, tolerance)
    _add_camera(glb, width, height, focal_px or max(width, height))
    _add_light(glb)
    write_glb(glb, path)


def build_scene(take: Take, rigs: Sequence[Rig], tolerance: float = 0.0) -> Glb:
    """The scene of `write_scene` in memory, without camera and light."""
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance {tolerance:g}: expected 0 (every sample is a key) or more, below 1")
    glb = Glb({"asset": {"version": "2.0", "generator": "mfn retarget"}})
    rig_of = rig_of_actor(take.actor, rigs)
    moved = {number: append_document(glb, rigs[number].glb) for number in sorted(set(rig_of.values()))}
    span = (take.time_s.min(), take.time_s.max()) if len(take) else (0.0, 0.0)
    animation: Document = {"name": "take", "channels": [], "samplers": []}
    roots, used = [], set()
    for actor, number in rig_of.items():
        rig = rigs[number]
        tops = scene_roots(rig.glb.document, moved[number])
        # The first to play a rig is the rig's own nodes, so that extensions which name them stay true.
        copy_of = copy_nodes(glb.document, tops) if number in used else {}
        own = {old: copy_of.get(old + moved[number], old + moved[number]) for old in range(len(rig.world))}
        used.add(number)
        performance = take[take.actor == actor]
        roots.append(_add_actor(glb, rig, own, performance, animation, (*span, tolerance)))
        glb.document["nodes"][roots[-1]]["children"] = [copy_of.get(top, top) for top in tops]
    scene = {"name": "take", "nodes": roots} if roots else {"name": "take"}
    glb.document.update(scene=0, scenes=[scene])
    if animation["channels"]:  # before those that the characters bring along: players start with the first
        glb.document["animations"] = [animation, *glb.document.get("animations", [])]
    return glb


def _add_actor(
    glb: Glb, rig: Rig, own: dict[int, int], performance: Take, animation: Document, span: tuple[float, float, float]
) -> int:
    """The node that carries one character, posed as in its first sample, and its channels. own: rig node -> scene
    node; span: first and last time of the take, tolerance."""
    performance = performance[np.argsort(performance.time_s, kind="stable")]
    time_s = (performance.time_s - span[0]).astype(np.float32)
    if (np.diff(time_s) <= 0).any():
        again = performance.time_s[1:][np.diff(time_s) <= 0][0]
        raise ValueError(f"actor {performance.actor[0]} has two samples at {again:g} s (expected one at each time)")
    tracks, scale = _tracks(rig, own, performance)
    actor = int(performance.actor[0])
    root = add(glb, "nodes", {"name": f"{rig.name} {actor}", "extras": {"actor": actor}})
    if scale != 1:
        glb.document["nodes"][root]["scale"] = [scale] * 3
    _hide_when_away(glb, animation, root, time_s, np.float32(span[1] - span[0]))
    if len(time_s) == 1:
        time_s = np.array([time_s[0], time_s[0] + _STILL_S], np.float32)
        tracks = [(node, path, np.repeat(values, 2, axis=0)) for node, path, values in tracks]
    clock_of: dict[bytes, int] = {}
    sampler_of: dict[tuple[str, bytes], int] = {}
    for node, path, values in tracks:
        target = glb.document["nodes"][root if node is None else node]
        _make_trs(target)
        target[path] = [float(v) for v in values[0]]
        key = path, values.tobytes()  # the same values for face, teeth and lashes are stored once
        if key not in sampler_of:
            keys = _keys(path, time_s, values, span[2])
            times, kept = time_s[keys], values[keys]
            if times.tobytes() not in clock_of:
                clock_of[times.tobytes()] = add_accessor(glb, times)
            output = add_accessor(glb, kept.ravel() if path == "weights" else kept)
            sampler = {"input": clock_of[times.tobytes()], "output": output, "interpolation": "LINEAR"}
            animation["samplers"].append(sampler)
            sampler_of[key] = len(animation["samplers"]) - 1
        where = {"node": root if node is None else node, "path": path}
        animation["channels"].append({"sampler": sampler_of[key], "target": where})
    return root


def _keys(path: str, time_s: Floats, values: Floats, tolerance: float) -> NDArray[np.int64]:
    """Which of the samples (K, ·) are kept as keys."""
    if tolerance == 0:
        return np.arange(len(time_s))
    if path == "rotation":
        return reduce_rotations(time_s, values, tolerance)
    return reduce_linear(time_s, values, tolerance * (_PLACE_M if path == "translation" else 1.0))


def _hide_when_away(glb: Glb, animation: Document, root: int, time_s: NDArray[np.float32], end_s: np.float32) -> None:
    """Shrink a character to nothing before its first sample, after its last and in long gaps, if there are such
    times."""
    steps = np.diff(time_s)
    hold = float(np.median(steps)) if len(steps) else _ALONE_S
    breaks = np.flatnonzero(steps > max(_LONG_GAP_S, 3 * hold))
    appears, leaves = time_s[[0, *(breaks + 1)]], time_s[[*breaks, -1]] + hold
    events = [(0.0, 0.0)] if appears[0] > 0 else []
    for appear, leave in zip(appears, leaves, strict=True):
        events.append((float(appear), 1.0))
        events += [(float(leave), 0.0)] if leave < end_s else []
    if len(events) < 2:
        return
    scale = glb.document["nodes"][root].get("scale", [1.0] * 3)
    sizes = np.array([visible for _, visible in events])[:, None] * scale
    clock = add_accessor(glb, np.array([time for time, _ in events], np.float32))
    animation["samplers"].append({"input": clock, "output": add_accessor(glb, sizes), "interpolation": "STEP"})
    target = {"node": root, "path": "scale"}
    animation["channels"].append({"sampler": len(animation["samplers"]) - 1, "target": target})


def _tracks(
    rig: Rig, own: dict[int, int], performance: Take
) -> tuple[list[tuple[int | None, str, NDArray[np.float32]]], float]:
    """What moves: (scene node or None for the character's root, glTF path, values (K, ·)); and the root's scale."""
    root, neck, head = place(rig, performance.rotation, performance.translation)
    turn = matrix_to_quaternion(root[:, :3, :3] / rig.scale)
    tracks: list[tuple[int | None, str, NDArray[Any]]] = [
        (None, "translation", root[:, :3, 3]),
        (None, "rotation", _continuous(turn)),
    ]
    if rig.stands and rig.head is not None:
        tracks.append((own[rig.head], "rotation", _joint_rotation(rig, rig.head, head)))
        if rig.neck is not None:
            tracks.append((own[rig.neck], "rotation", _joint_rotation(rig, rig.neck, neck)))
    if rig.eyes_turn and rig.eyes is not None:
        eye_turns = rig.faces.T @ rig.eye_turns(performance.coefficients) @ rig.faces
        for side, joint in enumerate(rig.eyes):
            tracks.append((own[joint], "rotation", _joint_rotation(rig, joint, eye_turns[:, side])))
    weights = rig.weights(performance.coefficients)
    for morph in rig.morphs:
        tracks.append((own[morph.node], "weights", weights[:, morph.start : morph.stop]))
    return [(node, path, np.ascontiguousarray(values, np.float32)) for node, path, values in tracks], rig.scale


def _joint_rotation(rig: Rig, joint: int, turn: Floats) -> NDArray[np.float64]:
    """Local rotations (K, 4) of a joint that turn it by (K, 3, 3) in the rig's scene away from its rest."""
    parents = [number for number, node in enumerate(rig.glb.document["nodes"]) if joint in node.get("children", [])]
    above = pure_rotation(rig.world[parents[0]]) if parents else np.eye(3)
    own = pure_rotation(local_matrix(rig.glb.document["nodes"][joint]))
    return _continuous(matrix_to_quaternion(above.T @ turn @ above @ own))


def _continuous(quaternion: Floats) -> NDArray[np.float64]:
    """(K, 4) with signs such that neighbours lie on one side, as players that mix them in between expect."""
    side = np.sign(np.einsum("ki,ki->k", quaternion[1:], quaternion[:-1]))
    return quaternion * np.concatenate([[1.0], np.cumprod(np.where(side < 0, -1.0, 1.0))])[:, None]


def _make_trs(node: Document) -> None:
    """glTF forbids to animate a node whose place is a matrix: split it."""
    if "matrix" not in node:
        return
    matrix = local_matrix(node)
    del node["matrix"]
    turn = pure_rotation(matrix)
    node["translation"] = [float(v) for v in matrix[:3, 3]]
    node["rotation"] = [float(v) for v in matrix_to_quaternion(turn)]
    node["scale"] = [float(v) for v in np.diag(turn.T @ matrix[:3, :3])]


def _add_camera(glb: Glb, width: int, height: int, focal_px: float) -> None:
    """At the origin, looking along -z, as wide as the picture was."""
    lens = {"yfov": 2 * math.atan(height / (2 * focal_px)), "aspectRatio": width / height, "znear": 0.01}
    camera = add(glb, "cameras", {"name": "picture", "type": "perspective", "perspective": lens})
    _to_scene(glb, {"name": "camera", "camera": camera})


def _add_light(glb: Glb) -> None:
    """One distant lamp from above left, for viewers that have no light of their own."""
    document = glb.document
    lights = document.setdefault("extensions", {}).setdefault("KHR_lights_punctual", {}).setdefault("lights", [])
    lights.append({"name": "lamp", "type": "directional", "intensity": 3.0})
    if "KHR_lights_punctual" not in document.setdefault("extensionsUsed", []):
        document["extensionsUsed"].append("KHR_lights_punctual")
    backwards = np.array(_TO_LAMP) / np.linalg.norm(_TO_LAMP)
    side = np.cross((0.0, 1.0, 0.0), backwards)
    side /= np.linalg.norm(side)
    turn = matrix_to_quaternion(np.stack([side, np.cross(backwards, side), backwards], axis=1))
    light = {"KHR_lights_punctual": {"light": len(lights) - 1}}
    _to_scene(glb, {"name": "lamp", "rotation": [float(v) for v in turn], "extensions": light})


def _to_scene(glb: Glb, node: Document) -> None:
    glb.document["scenes"][0].setdefault("nodes", []).append(add(glb, "nodes", node))
