"""Import a scene of `mfn animate` or `retarget animate` into Blender, ready to render.

    blender --python blender_import.py -- scene.glb [footage.mp4]

As an add-on: Edit > Preferences > Add-ons > Install from Disk, then File > Import > Characters of a clip. Or open this file in
the text editor and press Run. Needs nothing but Blender: tested with 4.5, written for 3.4 and newer.

It sets frame rate, frame range, picture size and camera; puts the footage on a plane behind the characters, with its sound;
adds light from all sides; makes one action for each character; drops curves and keyframes that are not needed. The cube, lamp and
camera of a new file are removed.
"""

import importlib
import json
import math
import struct
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np

vars(np).setdefault("bool", bool)  # Debian's Blender 3.4 needs this name, which NumPy 1.24 removed

bl_info = {"name": "Characters of a clip", "category": "Import-Export", "blender": (3, 4, 0), "description": "Ready to render"}

TOLERANCE = 0.002
"""Largest error of a shape key that leaving out a keyframe may cause. Rotations: radians. Places: quarters of a meter."""


def read_facts(path: str) -> dict[str, Any]:
    """Return what a .glb or .gltf file states: "lens", and the extras of its scene, such as "fps", "frames" and "footage"."""
    data = Path(path).read_bytes()
    is_binary = data[:4] == b"glTF"
    document = json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]] if is_binary else data)
    scene = document.get("scenes", [{}])[document.get("scene", 0)]
    lenses = [camera["perspective"] for camera in document.get("cameras", []) if "perspective" in camera]
    return {**scene.get("extras", {}), "lens": lenses[-1] if lenses else None}


def import_scene(path: str, footage: str | None = None, tolerance: float = TOLERANCE, plain: bool = False) -> list[Any]:
    """Import a .glb or .gltf file into the present scene and return the new objects.

    Without `footage` it is the picture or clip that the scene names; `plain` shows none. Tolerance 0 keeps every keyframe.
    """
    facts, scene = read_facts(path), bpy.context.scene
    remove_startup_objects()
    fps = float(facts.get("fps", scene.render.fps))
    before = set(bpy.data.objects)
    # Importers disagree on what fps_base does, so the import runs at a whole rate, and keyframes are moved afterwards.
    scene.render.fps, scene.render.fps_base = max(1, round(fps)), 1.0
    import_gltf(path)
    objects = [thing for thing in bpy.data.objects if thing not in before]
    rewrite_actions(objects, fps / scene.render.fps, tolerance)
    scene.render.fps_base = scene.render.fps / fps
    scene.frame_start, scene.frame_end = 0, max(int(facts.get("frames", 1)) - 1, 0)
    scene.frame_set(0)
    scene.camera = next((thing for thing in objects if thing.type == "CAMERA"), scene.camera)
    scene.render.resolution_x = int(facts.get("width", scene.render.resolution_x))
    scene.render.resolution_y = int(facts.get("height", scene.render.resolution_y))
    scene.view_settings.view_transform = "Standard"  # footage keeps its colors
    add_environment()
    footage = None if plain or not facts["lens"] else footage or find_footage(path, facts)
    if footage:
        objects += add_footage(footage, objects, facts)
    return objects


def remove_startup_objects() -> None:
    """Remove the cube, the lamp and the camera of a new Blender file, if nothing else is there: the scene's camera stands in the cube."""
    if {thing.name for thing in bpy.data.objects} != {"Cube", "Light", "Camera"}:
        return
    for kind, name in ((bpy.data.meshes, "Cube"), (bpy.data.lights, "Light"), (bpy.data.cameras, "Camera")):
        data = bpy.data.objects[name].data
        bpy.data.objects.remove(bpy.data.objects[name])
        kind.remove(data)


def import_gltf(path: str) -> Any:
    """Run Blender's importer. A mesh that it has made is copied for the next character, not made again: much faster."""
    try:
        maker = importlib.import_module("io_scene_gltf2.blender.imp.mesh").BlenderMesh
    except (ImportError, AttributeError):  # another version of the importer
        return bpy.ops.import_scene.gltf(filepath=path)
    made, make = dict[Any, Any](), maker.create

    def make_or_copy(gltf: Any, *numbers: Any) -> Any:
        made[numbers] = made[numbers].copy() if numbers in made else make(gltf, *numbers)
        return made[numbers]

    maker.create = staticmethod(make_or_copy)
    try:
        return bpy.ops.import_scene.gltf(filepath=path)
    finally:
        maker.create = staticmethod(make)


def add_environment() -> None:
    """Add soft light from all sides to a scene that has no world."""
    if bpy.context.scene.world is not None:
        return
    world = bpy.context.scene.world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    background = next(node for node in world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value, background.inputs["Strength"].default_value = (0.8, 0.85, 0.9, 1), 0.35


def find_footage(path: str, facts: dict[str, Any]) -> str | None:
    """Return the picture or clip that a scene names, if it lies where it was or beside the scene."""
    name = facts.get("footage")
    if not isinstance(name, str):
        return None
    folder = Path(path).resolve().parent
    for place in (folder / name, folder / Path(name).name):
        if place.is_file():
            return str(place.resolve())
    print(f"{name}: not found, so there is no background; name it after the scene")
    return None


def add_footage(file: str, objects: list[Any], facts: dict[str, Any]) -> list[Any]:
    """Put a picture or clip on a plane that fills the camera's view behind all characters. Returns the new objects."""
    scene = bpy.context.scene
    image = bpy.data.images.load(file, check_existing=True)
    roots = [thing for thing in objects if "actor" in thing]
    moves = [c for root in roots for c in curves_of(root) if c.data_path == "location" and c.array_index == 1]
    depths = [point.co[1] for curve in moves for point in curve.keyframe_points] + [root.location[1] for root in roots]
    distance = 1.15 * max(depths, default=2.0)  # behind all; Blender's y axis points away from the camera
    half_height = distance * math.tan(facts["lens"]["yfov"] / 2)
    half_width = half_height * facts["lens"]["aspectRatio"]
    mesh, corners = bpy.data.meshes.new("footage"), ((0, 0), (1, 0), (1, 1), (0, 1))
    places = [((2 * u - 1) * half_width, (2 * v - 1) * half_height, -distance) for u, v in corners]
    mesh.from_pydata(places, [], [(0, 1, 2, 3)])
    mesh.uv_layers.new().data.foreach_set("uv", [number for corner in corners for number in corner])
    first_frame, fps = int(facts.get("footage_frame", 0)), float(facts.get("fps", scene.render.fps))
    speed = float(facts.get("footage_fps", fps)) / fps  # frames of the clip for each frame of the scene
    mesh.materials.append(footage_material(image, first_frame, speed))
    plane = bpy.data.objects.new("footage", mesh)
    plane.parent = scene.camera
    for kind in ("diffuse", "glossy", "transmission", "volume_scatter", "shadow"):
        setattr(plane, f"visible_{kind}", False)  # it is seen, and lights nothing
    scene.collection.objects.link(plane)
    scene.camera.data.clip_end = max(scene.camera.data.clip_end, 2 * distance)
    if image.source == "MOVIE":
        editor = scene.sequence_editor_create()
        strips = editor.strips if hasattr(editor, "strips") else editor.sequences
        try:
            strips.new_sound("footage", file, channel=1, frame_start=-round(first_frame / speed))
        except RuntimeError as error:
            print(f"{file}: no sound ({' '.join(str(error).split())})")
    return [plane]


def footage_material(image: Any, first_frame: int, speed: float = 1.0) -> Any:
    """Return a material that shines as an image does.

    first_frame: frame of a clip that belongs to frame 0. speed: how many frames of the clip pass in a frame of the scene.
    """
    material = bpy.data.materials.new("footage")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    texture, shader = nodes.new("ShaderNodeTexImage"), nodes.new("ShaderNodeEmission")
    output = nodes.new("ShaderNodeOutputMaterial")
    texture.image, texture.extension = image, "EXTEND"
    if image.source == "MOVIE":
        user = texture.image_user
        user.frame_duration, user.frame_start, user.frame_offset = max(image.frame_duration, 1), 0, first_frame
        user.use_auto_refresh = True
        if speed != 1:  # Blender shows a frame of the clip for each frame of the scene; so the clip stands still, and a driver moves it
            user.frame_duration = 1
            user.driver_add("frame_offset").driver.expression = f"floor({first_frame + 0.001} + frame * {speed})"
    links.new(texture.outputs["Color"], shader.inputs["Color"])
    links.new(shader.outputs["Emission"], output.inputs["Surface"])
    return material


def rewrite_actions(objects: list[Any], speed: float, tolerance: float) -> None:
    """Make one action for each character, on whole frames. `speed`: factor from imported frames to those of the scene."""
    old, actions = set(), dict[str, Any]()
    for thing in objects:
        keys = thing.data.shape_keys if thing.type == "MESH" else None
        for owner in filter(None, (thing, keys)):
            data = owner.animation_data
            if data is not None and data.action is not None:
                old.add(data.action)
                read = [read_curve(curve, speed) for curve in curves_of(owner)]
                rewrite(owner, read, (thing.name, (character_of(thing) or thing).name), actions, tolerance)
    for action in old:
        bpy.data.actions.remove(action)


def rewrite(owner: Any, read: list[Any], names: tuple[str, str], actions: dict[str, Any], tolerance: float) -> None:
    """Move curves of an object or of its shape keys to the action of its character. names: of the object, of the action."""
    data, (slot_name, label) = owner.animation_data, names
    for track in list(data.nla_tracks):
        data.nla_tracks.remove(track)
    data.action, kept = None, []
    for path, index, keys, is_step in read:
        values = [value for _, value in keys]
        # A quarter for each part of a quaternion keeps its angle, and a quarter of a meter is what a head's turn moves.
        limit = tolerance * (0.25 if path.endswith(("rotation_quaternion", "location")) else 1)
        if max(values) - min(values) <= limit:
            place, _, name = path.rpartition(".")
            target = owner.path_resolve(place) if place else owner
            if hasattr(getattr(target, name), "__len__"):
                getattr(target, name)[index] = values[0]
            else:
                setattr(target, name, values[0])
        else:
            kept.append((path, index, keys if is_step else fewest_keys(keys, limit), is_step))
    if not kept:
        owner.animation_data_clear()
        return
    has_slots = "slots" in bpy.types.Action.bl_rna.properties
    if label not in actions or not has_slots:
        actions[label] = bpy.data.actions.new(label)
    data.action = actions[label]
    curves = new_slot(data.action, owner, slot_name) if has_slots else data.action.fcurves
    kinds = bpy.types.Keyframe.bl_rna.properties["interpolation"].enum_items
    for path, index, keys, is_step in kept:
        curve = curves.new(path, index=index)
        curve.keyframe_points.add(len(keys))
        curve.keyframe_points.foreach_set("co", [number for key in keys for number in key])
        curve.keyframe_points.foreach_set("interpolation", [kinds["CONSTANT" if is_step else "LINEAR"].value] * len(keys))
        curve.update()


def new_slot(action: Any, owner: Any, name: str) -> Any:
    """Add a slot for an object or its shape keys to an action (Blender 4.4 and newer). Returns the slot's curves."""
    slot = action.slots.new(id_type=owner.id_type, name=name)
    layer = action.layers[0] if len(action.layers) else action.layers.new("Layer")
    strip = layer.strips[0] if len(layer.strips) else layer.strips.new(type="KEYFRAME")
    owner.animation_data.action_slot = slot
    return strip.channelbag(slot, ensure=True).fcurves


def curves_of(owner: Any) -> list[Any]:
    """Return the curves that move an object or its shape keys."""
    data = owner.animation_data
    if data is None or data.action is None:
        return []
    if not hasattr(data, "action_slot"):
        return list(data.action.fcurves)
    strips = [strip for layer in data.action.layers for strip in layer.strips]
    bags = [strip.channelbag(data.action_slot) for strip in strips] if data.action_slot else []
    return [curve for bag in bags if bag is not None for curve in bag.fcurves]


def read_curve(curve: Any, speed: float) -> tuple[str, int, list[tuple[int, float]], bool]:
    """Return the path, the index and the keys (frame, value) of a curve, and whether it keeps a value until the next key."""
    flat = [0.0] * (2 * len(curve.keyframe_points))
    curve.keyframe_points.foreach_get("co", flat)
    keys = {round(frame * speed): value for frame, value in zip(flat[::2], flat[1::2])}
    return curve.data_path, curve.array_index, sorted(keys.items()), curve.keyframe_points[0].interpolation == "CONSTANT"


def fewest_keys(keys: list[tuple[int, float]], tolerance: float) -> list[tuple[int, float]]:
    """Leave out keys that straight lines between the others restore within the tolerance.

    A line goes on while its slope lies in the cone that the tolerances of the keys on its way leave open.
    """
    kept, start, low, high = [keys[0]], keys[0], -math.inf, math.inf
    for before, key in zip(keys, keys[1:]):
        if not low <= (key[1] - start[1]) / (key[0] - start[0]) <= high:
            kept.append(before)
            start, low, high = before, -math.inf, math.inf
        width = key[0] - start[0]
        low = max(low, (key[1] - tolerance - start[1]) / width)
        high = min(high, (key[1] + tolerance - start[1]) / width)
    return [*kept, keys[-1]]


def character_of(thing: Any) -> Any:
    """Return the root of the character that an object belongs to, or None."""
    return thing if thing is None or "actor" in thing else character_of(thing.parent)


class ImportCharacters(bpy.types.Operator):  # type: ignore[misc]
    """Import a scene of `mfn animate` or `retarget animate`, ready to render"""

    bl_idname = "import_scene.characters"
    bl_label = "Characters of a clip (.glb)"
    filepath: bpy.props.StringProperty(subtype="FILE_PATH")  # type: ignore[valid-type]

    def invoke(self, context: Any, event: Any) -> Any:
        """Ask for the file."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> Any:
        """Import the file."""
        import_scene(self.filepath)
        return {"FINISHED"}


def menu_entry(menu: Any, context: Any) -> None:
    """Draw the entry of File > Import."""
    menu.layout.operator(ImportCharacters.bl_idname)


def register() -> None:
    """Add the operator and its menu entry."""
    bpy.utils.register_class(ImportCharacters)
    bpy.types.TOPBAR_MT_file_import.append(menu_entry)


def unregister() -> None:
    """Take away the operator and its menu entry."""
    bpy.types.TOPBAR_MT_file_import.remove(menu_entry)
    bpy.utils.unregister_class(ImportCharacters)


if __name__ == "__main__":
    if "--" in sys.argv:
        arguments = sys.argv[sys.argv.index("--") + 1 :]
        import_scene(arguments[0], arguments[1] if len(arguments) > 1 else None)
    else:
        register()
