"""Write a take and its characters as one glTF scene: everybody in their place, one animation, the photo's camera.

Letters: K samples of one actor.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.animation.pose import assign_rigs, check_rigs
from retarget.animation.tracks import Track, choose_keyframes, make_tracks
from retarget.geometry.rotations import matrix_to_quaternion, nearest_rotation
from retarget.gltf.accessors import add_accessor
from retarget.gltf.document import Document, Glb, add, check_output_name, write_glb
from retarget.gltf.merge import append_document, copy_nodes, scene_roots
from retarget.gltf.node_tree import local_matrix
from retarget.io.files import same_file
from retarget.performance.take import Take
from retarget.rig.rig import Rig

_STILL_DURATION_S = 1.0  # of the animation of a single moment
_MAX_BRIDGED_GAP_S = 0.5  # an actor who is not seen for longer is hidden meanwhile
_SINGLE_SAMPLE_S = 0.1  # how long an actor with a single sample is shown
_NEAR_PLANE_M = 0.01
_DIRECTION_TO_LIGHT = (-0.35, 0.55, 0.75)
_LIGHT_LUX = 3.0

Progress = Callable[[int, int], None]
"""Called with the number of actors that are done and the number of all actors."""


class TimeSpan(NamedTuple):
    """The first and last time of a take, in seconds."""

    start_s: float
    end_s: float


class _Writer(NamedTuple):
    """What every actor adds to. span: time of the whole take; tolerance: as in `write_scene`."""

    glb: Glb
    animation: Document
    span: TimeSpan
    tolerance: float


def write_scene(
    take: Take,
    rigs: Sequence[Rig],
    path: str | os.PathLike[str],
    width: int = 1280,
    height: int = 720,
    focal_px: float | None = None,
    tolerance: float = 0.0,
) -> None:
    """Write a scene in which each actor of a take is a character that stands where the person is.

    Args:
        take: The performance.
        rigs: At least one character. Actors in ascending order take them in turn.
        path: The .glb or .gltf file to write.
        width: Width of the picture in px, for the camera.
        height: Height of the picture in px.
        focal_px: Focal length in px. None: the longer side of the picture.
        tolerance: The largest error that leaving out a sample may cause: in weights, in radians of rotations, in
            quarters of a meter of translations. 0 makes every sample a keyframe. Above 0 the fewest keyframes are
            written.

    Raises:
        TypeError: A rig is not a `Rig`, but a file name, for example.
        ValueError: There are no rigs, the path is the file of a rig or does not end in .glb or .gltf, an actor has two
            samples at one time, or an argument is out of range.
        FileNotFoundError: The folder does not exist.

    Example:
        >>> write_scene(take, [load_rig("robot")], "out.glb")

    Characters of one rig share its meshes; each has its own nodes, skeleton and weights. The animation starts at 0 s
    with the first sample of the take; a single moment lasts one second. Materials, textures, skins, morph targets and
    the rig's own animations stay as they are.
    """
    check_output_name(path)
    check_rigs(rigs)
    for rig in rigs:
        if same_file(path, rig.glb.path):
            raise ValueError(f"{path}: this is a character's own file; give the scene another name")
    write_built_scene(build_scene(take, rigs, tolerance), path, width, height, focal_px)


def build_scene(
    take: Take, rigs: Sequence[Rig], tolerance: float = 0.0, on_progress: Progress | None = None
) -> Glb:
    """Build the scene of `write_scene` in memory, without camera and light.

    Args:
        take: The performance.
        rigs: At least one character.
        tolerance: As in `write_scene`.
        on_progress: Called after each actor.
    """
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance {tolerance:g}: expected 0 (every sample is a keyframe) or more, below 1")
    glb = Glb({"asset": {"version": "2.0", "generator": "mfn retarget"}})
    rig_of = assign_rigs(take.actor, rigs)
    node_offset = {number: append_document(glb, rigs[number].glb) for number in sorted(set(rig_of.values()))}
    span = TimeSpan(float(take.time_s.min()), float(take.time_s.max())) if len(take) else TimeSpan(0.0, 0.0)
    animation: Document = {"name": "take", "channels": [], "samplers": []}
    writer = _Writer(glb, animation, span, tolerance)
    roots: list[int] = []
    used: set[int] = set()
    for actor, number in rig_of.items():
        rig, offset = rigs[number], node_offset[number]
        tops = scene_roots(rig.glb.document, offset)
        # The first actor of a rig gets the rig's own nodes, so that extensions that name nodes stay valid.
        copy_of = copy_nodes(glb.document, tops) if number in used else {}
        own = {old: copy_of.get(old + offset, old + offset) for old in range(len(rig.world))}
        used.add(number)
        roots.append(_add_actor(writer, rig, own, take[take.actor == actor]))
        glb.document["nodes"][roots[-1]]["children"] = [copy_of.get(top, top) for top in tops]
        if on_progress is not None:
            on_progress(len(roots), len(rig_of))
    scene = {"name": "take", "nodes": roots} if roots else {"name": "take"}
    glb.document.update(scene=0, scenes=[scene])
    if animation["channels"]:  # first in the list, because players start with the first animation
        glb.document["animations"] = [animation, *glb.document.get("animations", [])]
    return glb


def write_built_scene(
    glb: Glb, path: str | os.PathLike[str], width: int = 1280, height: int = 720, focal_px: float | None = None
) -> None:
    """Add camera and light to what `build_scene` built, and write it. Arguments as in `write_scene`."""
    if width < 1 or height < 1 or (focal_px is not None and not focal_px > 0):
        raise ValueError(f"expected a picture of at least 1 x 1 px and focal_px > 0, got {width} x {height}, {focal_px}")
    _add_camera(glb, width, height, focal_px or max(width, height))
    _add_light(glb)
    write_glb(glb, path)


def _add_actor(writer: _Writer, rig: Rig, own: dict[int, int], performance: Take) -> int:
    """Add one character's root node, posed as in its first sample, and its animation channels.

    Args:
        writer: The scene.
        rig: The character.
        own: Number of a node in the rig -> its number in the scene.
        performance: The samples of one actor.

    Returns:
        The number of the root node.
    """
    performance = performance[np.argsort(performance.time_s, kind="stable")]
    time_s = (performance.time_s - writer.span.start_s).astype(np.float32)
    if (np.diff(time_s) <= 0).any():
        repeated_s = performance.time_s[1:][np.diff(time_s) <= 0][0]
        raise ValueError(
            f"actor {performance.actor[0]} has two samples at {repeated_s:g} s (expected one at each time)"
        )
    actor = int(performance.actor[0])
    root = add(writer.glb, "nodes", {"name": f"{rig.name} {actor}", "extras": {"actor": actor}})
    if rig.scale != 1:
        writer.glb.document["nodes"][root]["scale"] = [rig.scale] * 3
    _hide_when_unseen(writer, root, time_s)
    tracks = make_tracks(rig, performance)
    if len(time_s) == 1:
        time_s = np.array([time_s[0], time_s[0] + _STILL_DURATION_S], np.float32)
        tracks = [track._replace(values=np.repeat(track.values, 2, axis=0)) for track in tracks]
    _add_channels(writer, root, own, tracks, time_s)
    return root


def _add_channels(
    writer: _Writer, root: int, own: dict[int, int], tracks: list[Track], time_s: NDArray[np.float32]
) -> None:
    """Pose the nodes as in the first sample, and add one channel for each track.

    Equal times are stored once, and so are equal values: face, teeth and lashes often have the same weights.
    """
    input_of: dict[bytes, int] = {}  # times -> accessor
    sampler_of: dict[tuple[str, bytes], int] = {}
    for track in tracks:
        node = root if track.node is None else own[track.node]
        _split_matrix(writer.glb.document["nodes"][node])
        writer.glb.document["nodes"][node][track.path] = [float(v) for v in track.values[0]]
        key = track.path, track.values.tobytes()
        if key not in sampler_of:
            keyframes = choose_keyframes(track, time_s, writer.tolerance)
            times, values = time_s[keyframes], track.values[keyframes]
            if times.tobytes() not in input_of:
                input_of[times.tobytes()] = add_accessor(writer.glb, times)
            output = add_accessor(writer.glb, values.ravel() if track.path == "weights" else values)
            sampler = {"input": input_of[times.tobytes()], "output": output, "interpolation": "LINEAR"}
            writer.animation["samplers"].append(sampler)
            sampler_of[key] = len(writer.animation["samplers"]) - 1
        target = {"node": node, "path": track.path}
        writer.animation["channels"].append({"sampler": sampler_of[key], "target": target})


def _hide_when_unseen(writer: _Writer, root: int, time_s: NDArray[np.float32]) -> None:
    """Scale a character to zero before its first sample, after its last one, and in long gaps."""
    end_s = np.float32(writer.span.end_s - writer.span.start_s)
    steps = np.diff(time_s)
    hold_s = float(np.median(steps)) if len(steps) else _SINGLE_SAMPLE_S
    gaps = np.flatnonzero(steps > max(_MAX_BRIDGED_GAP_S, 3 * hold_s))
    appears, disappears = time_s[[0, *(gaps + 1)]], time_s[[*gaps, -1]] + hold_s
    events = [(0.0, 0.0)] if appears[0] > 0 else []  # (time, visible)
    for appear, disappear in zip(appears, disappears, strict=True):
        events.append((float(appear), 1.0))
        events += [(float(disappear), 0.0)] if disappear < end_s else []
    if len(events) < 2:
        return
    scale: Any = writer.glb.document["nodes"][root].get("scale", [1.0] * 3)
    scales = np.array([visible for _, visible in events])[:, None] * scale
    times = add_accessor(writer.glb, np.array([time for time, _ in events], np.float32))
    sampler = {"input": times, "output": add_accessor(writer.glb, scales), "interpolation": "STEP"}
    writer.animation["samplers"].append(sampler)
    target = {"node": root, "path": "scale"}
    writer.animation["channels"].append({"sampler": len(writer.animation["samplers"]) - 1, "target": target})


def _split_matrix(node: Document) -> None:
    """Replace a node's matrix by translation, rotation and scale: glTF forbids to animate a node with a matrix."""
    if "matrix" not in node:
        return
    matrix = local_matrix(node)
    del node["matrix"]
    turn = nearest_rotation(matrix)
    node["translation"] = [float(v) for v in matrix[:3, 3]]
    node["rotation"] = [float(v) for v in matrix_to_quaternion(turn)]
    node["scale"] = [float(v) for v in np.diag(turn.T @ matrix[:3, :3])]


def _add_camera(glb: Glb, width: int, height: int, focal_px: float) -> None:
    """Add the picture's camera: at the origin, looking along -z."""
    lens = {"yfov": 2 * math.atan(height / (2 * focal_px)), "aspectRatio": width / height, "znear": _NEAR_PLANE_M}
    camera = add(glb, "cameras", {"name": "picture", "type": "perspective", "perspective": lens})
    _add_to_scene(glb, {"name": "camera", "camera": camera})


def _add_light(glb: Glb) -> None:
    """Add a directional light from above left, for viewers that have no light of their own."""
    document = glb.document
    lights = document.setdefault("extensions", {}).setdefault("KHR_lights_punctual", {}).setdefault("lights", [])
    lights.append({"name": "lamp", "type": "directional", "intensity": _LIGHT_LUX})
    if "KHR_lights_punctual" not in document.setdefault("extensionsUsed", []):
        document["extensionsUsed"].append("KHR_lights_punctual")
    z = np.array(_DIRECTION_TO_LIGHT) / np.linalg.norm(_DIRECTION_TO_LIGHT)  # a light shines along its -z
    x = np.cross((0.0, 1.0, 0.0), z)
    x /= np.linalg.norm(x)
    rotation = matrix_to_quaternion(np.stack([x, np.cross(z, x), z], axis=1))
    light = {"KHR_lights_punctual": {"light": len(lights) - 1}}
    _add_to_scene(glb, {"name": "lamp", "rotation": [float(v) for v in rotation], "extensions": light})


def _add_to_scene(glb: Glb, node: Document) -> None:
    glb.document["scenes"][0].setdefault("nodes", []).append(add(glb, "nodes", node))
