"""Write tracks as channels of a glTF animation. A property that does not change is set once and gets no channel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.animation.frames import gap_limit_s
from retarget.animation.tracks import Track, choose_keyframes, is_constant
from retarget.gltf.accessors import add_accessor
from retarget.gltf.document import Document, Glb
from retarget.gltf.node_tree import split_matrix


class Writer(NamedTuple):
    """What every actor adds to.

    Attributes:
        glb: The scene.
        animation: The glTF animation.
        end_s: Time of the last frame.
        step_s: Duration of a frame.
        tolerance: As in `SceneOptions`.
    """

    glb: Glb
    animation: Document
    end_s: float
    step_s: float
    tolerance: float


def add_channels(writer: Writer, node_of: dict[int | None, int], tracks: list[Track], time_s: NDArray[np.float32]) -> None:
    """Pose the nodes as in the first frame, and add one channel for each track that changes.

    Args:
        writer: The scene.
        node_of: Node of a track -> node of the scene.
        tracks: The tracks of one actor.
        time_s: (K,) their times.

    Equal times are stored once, and so are equal values: face, teeth and lashes often have the same weights.
    """
    input_of: dict[bytes, int] = {}  # times -> accessor
    sampler_of: dict[tuple[str, bytes], int] = {}
    for track in tracks:
        number = node_of[track.node]
        node = writer.glb.document["nodes"][number]
        split_matrix(node)
        node[track.path] = [float(v) for v in track.values[0]]
        if is_constant(track, writer.tolerance):
            continue
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
        target = {"node": number, "path": track.path}
        writer.animation["channels"].append({"sampler": sampler_of[key], "target": target})


def hide_when_unseen(writer: Writer, root: int, time_s: NDArray[np.float32]) -> None:
    """Scale a character to zero before its first sample, after its last one, and in long gaps."""
    gaps = np.flatnonzero(np.diff(time_s) > gap_limit_s(time_s))
    appears, disappears = time_s[[0, *(gaps + 1)]], time_s[[*gaps, -1]] + writer.step_s
    events = [(0.0, 0.0)] if appears[0] > 0 else []  # (time, visible)
    for appear, disappear in zip(appears, disappears, strict=True):
        events.append((float(appear), 1.0))
        events += [(float(disappear), 0.0)] if disappear < writer.end_s + 0.5 * writer.step_s else []
    if len(events) < 2:
        return
    node = writer.glb.document["nodes"][root]
    scale: Any = node.get("scale", [1.0] * 3)
    scales = np.array([visible for _, visible in events])[:, None] * scale
    times = add_accessor(writer.glb, np.array([time for time, _ in events], np.float32))
    sampler = {"input": times, "output": add_accessor(writer.glb, scales), "interpolation": "STEP"}
    writer.animation["samplers"].append(sampler)
    target = {"node": root, "path": "scale"}
    writer.animation["channels"].append({"sampler": len(writer.animation["samplers"]) - 1, "target": target})
