"""What Blender sees in a GLB that we wrote: objects, shape keys, animated curves.

    blender --background --python experiments/rigs/blender_import.py -- crowd.glb
"""

import sys

import numpy

if not hasattr(numpy, "bool"):  # Blender 3.4's own importer was written before NumPy 1.24 took the name away
    numpy.bool = bool

import bpy


def main(path: str) -> None:
    """Imports one file into an empty scene and prints what came."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=path)
    keyed = [o for o in bpy.data.objects if o.type == "MESH" and o.data.shape_keys]
    moving = [o for o in keyed if o.data.shape_keys.animation_data and o.data.shape_keys.animation_data.action]
    roots = {o for o in bpy.data.objects if o.parent is None and o.type not in ("CAMERA", "LIGHT")}
    print(f"{path}: {len(roots)} characters, {len(keyed)} objects with shape keys, {len(moving)} of them animated")
    for thing in keyed[:4]:
        names = [key.name for key in thing.data.shape_keys.key_blocks]
        action = thing.data.shape_keys.animation_data
        curves = len(action.action.fcurves) if action and action.action else 0
        print(f"    {thing.name}: {len(names)} keys ({', '.join(names[1:5])} ...), {curves} curves")


main(sys.argv[sys.argv.index("--") + 1])
