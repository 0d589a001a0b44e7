"""Sample what Blender makes of an animated GLB: every shape-key curve, and the motion of every character's root.

    blender --background --python experiments/rigs/blender_curves.py -- scene.glb times.npy curves.npz

Blender runs this file in its own Python. It writes the arrays "w|actor|object|key" (F,) and "p|actor" (F, 7): place and
quaternion w x y z.
"""

import sys
from typing import Any

import numpy as np

if not hasattr(np, "bool"):  # the importer of Blender 3.4 needs this name, which NumPy 1.24 removed
    np.bool = bool  # type: ignore[misc, assignment]

import bpy

FPS = 30


def actor_of(thing: Any) -> int | None:
    """Return the number of the character that an object belongs to: it is in the extras of the root node."""
    while thing is not None and "actor" not in thing:
        thing = thing.parent
    return None if thing is None else int(thing["actor"])


def sample(action: Any, frames: Any) -> dict[tuple[str, int], list[float]]:
    """Return {(data path, index): values at the frames}."""
    return {(curve.data_path, curve.array_index): [curve.evaluate(frame) for frame in frames] for curve in action.fcurves}


def main(path: str, times: str, out: str) -> None:
    """Import the scene and write the arrays."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = FPS
    bpy.ops.import_scene.gltf(filepath=path)
    frames, actions = np.load(times) * FPS, set()
    arrays: dict[str, Any] = {}
    for thing in bpy.data.objects:
        actor = actor_of(thing)
        keys = thing.data.shape_keys if thing.type == "MESH" else None
        if keys is not None and keys.animation_data and keys.animation_data.action and actor is not None:
            actions.add(keys.animation_data.action.name)
            for (curve, _), values in sample(keys.animation_data.action, frames).items():
                name = curve.split('"')[1]
                arrays[f"w|{actor}|{thing.name}|{name}"] = np.array(values)
        if "actor" in thing and thing.animation_data and thing.animation_data.action:
            curves = sample(thing.animation_data.action, frames)
            wanted = [("location", k) for k in range(3)] + [("rotation_quaternion", k) for k in range(4)]
            arrays[f"p|{actor}"] = np.array([curves[name] for name in wanted]).T
    np.savez(out, **arrays)
    print(f"{path}: {len(arrays)} curves, {len(actions)} shape-key actions in Blender {bpy.app.version_string}")


main(*sys.argv[sys.argv.index("--") + 1 :])
