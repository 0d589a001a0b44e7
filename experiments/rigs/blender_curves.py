"""Count what Blender makes of a scene that we wrote, and sample the motion of every character.

    blender --background --python experiments/rigs/blender_curves.py -- scene.glb importer out.npz
    blender --background --python experiments/rigs/blender_curves.py -- scene.glb addon out.npz

Blender runs this file in its own Python; "importer" is Blender's own importer, "addon" is `blender_import.py`. It writes
"counts" (objects, meshes, actions, curves, keyframes, thousandths of a CPU second) and, for the frames of the scene,
"w|actor|key" (F,) the values of each shape key and "p|actor" (F, 7) place and quaternion w x y z of each root.
"""

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import numpy as np

ADDON = Path(__file__).resolve().parents[2] / "retarget" / "animation" / "blender" / "blender_import.py"


def load_addon() -> ModuleType:
    """Load the add-on from its file: Blender's Python does not know our packages."""
    spec = importlib.util.spec_from_file_location("blender_import", ADDON)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"expected the add-on at {ADDON}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


blender_import = load_addon()


def all_curves() -> list[Any]:
    """Return every curve of every object and its shape keys."""
    curves = []
    for thing in bpy.data.objects:
        keys = thing.data.shape_keys if thing.type == "MESH" else None
        curves += [curve for owner in filter(None, (thing, keys)) for curve in blender_import.curves_of(owner)]
    return curves


def sample(owner: Any, path: str, index: int, rest: float, frames: range) -> Any:
    """Return the values (F,) of a property at the frames: of its curve, else the one that it rests at."""
    found = [c for c in blender_import.curves_of(owner) if c.data_path == path and c.array_index == index]
    return np.array([found[0].evaluate(frame) for frame in frames] if found else [rest] * len(frames))


def motions(frames: range) -> dict[str, Any]:
    """Return the arrays of every character that is one object."""
    arrays = {}
    for root in [thing for thing in bpy.data.objects if "actor" in thing]:
        actor = int(root["actor"])
        place = [sample(root, "location", k, root.location[k], frames) for k in range(3)]
        turn = [sample(root, "rotation_quaternion", k, root.rotation_quaternion[k], frames) for k in range(4)]
        arrays[f"p|{actor}"] = np.stack([*place, *turn], 1)
        keys = root.data.shape_keys if root.type == "MESH" else None
        for key in keys.key_blocks[1:] if keys else ():
            arrays[f"w|{actor}|{key.name}"] = sample(keys, f'key_blocks["{key.name}"].value', 0, key.value, frames)
    return arrays


def main(path: str, mode: str, out: str) -> None:
    """Import the scene and write the arrays."""
    bpy.ops.wm.read_homefile(use_empty=True)
    start = time.process_time()
    if mode == "addon":
        blender_import.import_scene(path)
    else:
        bpy.ops.import_scene.gltf(filepath=path)
    cpu_s, curves = time.process_time() - start, all_curves()
    keyframes = sum(len(curve.keyframe_points) for curve in curves)
    counts = [len(bpy.data.objects), len(bpy.data.meshes), len(bpy.data.actions), len(curves), keyframes, cpu_s * 1000]
    arrays = motions(range(bpy.context.scene.frame_end + 1)) if mode == "addon" else {}
    np.savez(out, counts=np.round(counts).astype(np.int64), **arrays)
    print(f"in Blender {bpy.app.version_string}")


main(*sys.argv[sys.argv.index("--") + 1 :])
