"""Write a scene as a .blend or .fbx file, or render a frame of it, inside Blender.

    blender --background --python blender_convert.py -- scene.glb OUT [--footage FILE] [--tolerance T] [--frame F]

OUT ends in .blend, .fbx or .png. `retarget animate --out NAME.fbx` calls it.
"""

import argparse
import os
import sys

import bpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import blender_import


def write_fbx(path: str) -> None:
    """Write the present scene as FBX, with every frame of its animation."""
    import addon_utils

    addon_utils.enable("io_scene_fbx")
    bpy.ops.export_scene.fbx(
        filepath=path,
        object_types={"ARMATURE", "CAMERA", "EMPTY", "LIGHT", "MESH"},
        add_leaf_bones=False,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=False,
        bake_anim_simplify_factor=0.0,
        path_mode="COPY",
        embed_textures=True,
    )


def render(path: str, frame: int) -> None:
    """Render one frame with Cycles, which needs no graphics card."""
    scene = bpy.context.scene
    scene.frame_set(frame)
    scene.render.engine, scene.cycles.samples, scene.render.filepath = "CYCLES", 16, path
    bpy.ops.render.render(write_still=True)


def main(arguments: list[str]) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="blender --background --python blender_convert.py --")
    parser.add_argument("scene", help="the .glb or .gltf file")
    parser.add_argument("out", help="the file to write")
    parser.add_argument("--footage", help="picture or clip behind the characters (default: the one that the scene names)")
    parser.add_argument("--tolerance", type=float, default=blender_import.TOLERANCE, help="0 keeps every keyframe")
    parser.add_argument("--frame", type=int, default=0, help="frame to render")
    parser.add_argument("--scale", type=int, default=100, help="size of the rendered picture in percent")
    options = parser.parse_args(arguments)
    out = os.path.abspath(options.out)
    is_fbx = out.lower().endswith(".fbx")
    bpy.ops.wm.read_homefile(use_empty=True)
    blender_import.import_scene(options.scene, options.footage, options.tolerance, plain=is_fbx)
    bpy.context.scene.render.resolution_percentage = options.scale
    if is_fbx:
        write_fbx(out)
    elif out.lower().endswith(".blend"):
        bpy.ops.wm.save_as_mainfile(filepath=out)
    else:
        render(out, options.frame)


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--") + 1 :])
