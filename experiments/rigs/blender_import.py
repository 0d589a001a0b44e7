"""Print what Blender makes of a GLB that we wrote: characters, shape keys and animated curves.

    blender --background --python experiments/rigs/blender_import.py -- crowd.glb

Blender runs this file in its own Python.
"""

import sys

import numpy

if not hasattr(numpy, "bool"):  # the importer of Blender 3.4 needs this name, which NumPy 1.24 removed
    numpy.bool = bool  # type: ignore[misc, assignment]

import bpy


def main(path: str) -> None:
    """Import one file into an empty scene and print its contents."""
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
