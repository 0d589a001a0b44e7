"""Blender's view of an animated GLB, to compare: every shape-key curve and the way of every character's root, sampled.

blender --background --python experiments/rigs/blender_curves.py -- scene.glb times.npy curves.npz
"""

import sys

import numpy as np

if not hasattr(np, "bool"):  # Blender 3.4's own importer was written before NumPy 1.24 took the name away
    np.bool = bool

import bpy

FPS = 30


def owner(thing):
    """The number of the character that an object belongs to: the root node's extras."""
    while thing is not None and "actor" not in thing:
        thing = thing.parent
    return None if thing is None else int(thing["actor"])


def sampled(action, frames):
    """{(data path, index): values at the frames}."""
    return {(c.data_path, c.array_index): [c.evaluate(frame) for frame in frames] for c in action.fcurves}


def main(path: str, times: str, out: str) -> None:
    """Imports the scene and writes arrays "w|actor|object|key" (F,) and "p|actor" (F, 7) place and quaternion w x y z."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = FPS
    bpy.ops.import_scene.gltf(filepath=path)
    frames, arrays, actions = np.load(times) * FPS, {}, set()
    for thing in bpy.data.objects:
        actor = owner(thing)
        keys = thing.data.shape_keys if thing.type == "MESH" else None
        if keys is not None and keys.animation_data and keys.animation_data.action and actor is not None:
            actions.add(keys.animation_data.action.name)
            for (curve, _), values in sampled(keys.animation_data.action, frames).items():
                name = curve.split('"')[1]
                arrays[f"w|{actor}|{thing.name}|{name}"] = np.array(values)
        if "actor" in thing and thing.animation_data and thing.animation_data.action:
            curves = sampled(thing.animation_data.action, frames)
            wanted = [("location", k) for k in range(3)] + [("rotation_quaternion", k) for k in range(4)]
            arrays[f"p|{actor}"] = np.array([curves[w] for w in wanted]).T
    np.savez(out, **arrays)
    print(f"{path}: {len(arrays)} curves, {len(actions)} shape-key actions in Blender {bpy.app.version_string}")


main(*sys.argv[sys.argv.index("--") + 1 :])
