"""Write a take and its characters as one glTF scene: everybody in their place, one animation, the footage's camera."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retarget.animation.animation_only import without_surfaces
from retarget.animation.blender.convert import SUFFIXES as BLENDER_SUFFIXES
from retarget.animation.blender.convert import require_blender, write_with_blender
from retarget.animation.channels import Writer, add_channels, hide_when_unseen
from retarget.animation.frames import TimedTake, on_frames
from retarget.animation.one_mesh import OneMesh, as_one_mesh
from retarget.animation.pose import assign_rigs, check_rigs
from retarget.animation.surroundings import (
    Camera,
    add_surroundings,
    camera_of_footage,
    footage_stage,
    portrait_stage,
)
from retarget.animation.tracks import Track, make_tracks
from retarget.gltf.document import Document, Glb, add, check_output_name, write_glb
from retarget.gltf.merge import append_document, copy_nodes, scene_roots, share_equal_views
from retarget.gltf.node_tree import TRANSFORM_KEYS
from retarget.gltf.references import drop_unused
from retarget.io.files import same_file
from retarget.io.scene_arguments import DEFAULT_LIGHT_LUX
from retarget.performance.take import Take
from retarget.rig.rig import Rig

SUFFIXES = (".glb", ".gltf")
"""Suffixes of scenes that are written without Blender."""

# Extensions whose references to other things `drop_unused` keeps right: lights of nodes, textures of materials, images of textures.
_KNOWN_REFERENCES = {"KHR_lights_punctual", "KHR_mesh_quantization", "KHR_texture_transform", "KHR_texture_basisu"}
_KNOWN_REFERENCES |= {"EXT_texture_webp", "EXT_texture_avif", "MSFT_texture_dds"}
_OF_MATERIALS, _VARIANTS = "KHR_materials_", "KHR_materials_variants"  # variants name materials from primitives

Progress = Callable[[int, int], None]
"""Called with the number of actors that are done and the number of all actors."""


@dataclass(frozen=True, kw_only=True)
class SceneOptions:
    """How a scene is written."""

    camera: Camera | None = None
    """The camera of the footage. None: as the take states it, else 1280 x 720 px."""
    footage_file: Path | None = None
    """The picture or clip itself. Its place relative to the scene is noted for `retarget/animation/blender`."""
    fps: float | None = None
    """Frames a second; keyframes lie on whole frames. None: those of the take."""
    tolerance: float = 0.0
    """Largest error that leaving out a keyframe may cause: in weights, in radians of rotations, in quarters of a meter
    of translations. 0 makes every frame a keyframe; above 0 the fewest keyframes are written."""
    in_place: bool = False
    """Each character stays at its own origin, in its own size: only its head, eyes and face move."""
    animation_only: bool = False
    """Write nodes, target names and the animation, without surfaces, textures, camera and lights. Nodes and meshes are those of
    the character's file, and arms are as there, so that the animation fits a character that another program already has."""
    separate_meshes: bool = False
    """Keep the meshes of a character apart, also where it could be one object."""
    light_lux: float = DEFAULT_LIGHT_LUX
    """Illuminance of the main light in lux. 0: no light."""


def write_scene(
    take: Take,
    rigs: Sequence[Rig],
    path: str | os.PathLike[str],
    width: int | None = None,
    height: int | None = None,
    focal_px: float | None = None,
    tolerance: float = 0.0,
) -> None:
    """Write a scene in which each actor of a take is a character that stands where the person is.

    Args:
        take: The performance.
        rigs: At least one character. Actors in ascending order take them in turn.
        path: The .glb or .gltf file to write; .fbx or .blend where Blender is installed.
        width: Width of the picture in px, for the camera. None: as the take states it, else 1280.
        height: Height of the picture in px. None: as the take states it, else 720.
        focal_px: Focal length in px. None: as the take states it, else 1.2 times the longer side of the picture.
        tolerance: As in `SceneOptions`, which has more options for `write_scene_files`.

    Raises:
        TypeError: A rig is not a `Rig`, but a file name, for example.
        ValueError: There are no rigs, the path is the file of a rig or does not end in .glb or .gltf, an actor has two
            samples at one time, or an argument is out of range.
        FileNotFoundError: The folder does not exist.

    Example:
        >>> write_scene(take, [load_rig("robot")], "out.glb")

    Characters of one rig share its meshes; each has its own nodes, skeleton and weights. The animation starts at 0 s
    with the first sample of the take; a single moment has none. Materials, textures, skins, morph targets and the rig's
    own animations stay as they are. A character without a skeleton becomes one object.
    """
    camera = camera_of_footage(take.footage, width, height, focal_px)
    write_scene_files(take, rigs, path, SceneOptions(camera=camera, tolerance=tolerance))


def write_scene_files(
    take: Take,
    rigs: Sequence[Rig],
    path: str | os.PathLike[str],
    options: SceneOptions,
    on_progress: Progress | None = None,
) -> list[Path]:
    """Write a scene with options. Arguments and other errors as in `write_scene`; `on_progress` is called after each actor.

    Returns:
        The files that were written: one. Of several people who stay in place each has a file, NAME-person-ACTOR.glb. Time 0
        of each is the first sample of the take, so that people who are played together stay in time.

    Raises:
        ValueError: As in `write_scene`; or only the animation is wanted (`animation_only`), and the take has no samples.
    """
    target = Path(path)
    through_blender = target.suffix.lower() in BLENDER_SUFFIXES
    check_output(target)
    check_rigs(rigs)
    if options.animation_only and not len(take):
        raise ValueError(f"{path}: the take has no samples, so there is no animation to write")
    files = [target]
    if options.in_place and len(take.actors()) > 1:
        files = [target.with_stem(f"{target.stem}-person-{actor}") for actor in take.actors()]
    for file in files:
        for rig in rigs:
            if same_file(file, rig.glb.path):
                raise ValueError(f"{file}: this is a character's own file; give the scene another name")
    # Blender drops keyframes of each target by itself.
    settings = replace(options, tolerance=0) if through_blender else options
    if len(files) == 1:
        scenes = [build_scene(take, rigs, settings, on_progress)]
    else:
        scenes = _build_scene_of_each(take, rigs, settings)
    for glb, file in zip(scenes, files, strict=True):
        if options.footage_file is not None:
            glb.document["scenes"][0]["extras"]["footage"] = _relative(options.footage_file, file)
    for glb, file in zip(scenes, files, strict=True):
        if through_blender:
            write_with_blender(glb, file, options.tolerance, options.footage_file)
        else:
            write_glb(glb, file)
    return files


def check_output(path: Path) -> None:
    """Raise ValueError if a file name is not one of those that `write_scene_files` can write here."""
    if path.suffix.lower() in BLENDER_SUFFIXES:
        require_blender(path)
    else:
        check_output_name(path, SUFFIXES)


def build_scene(
    take: Take, rigs: Sequence[Rig], options: SceneOptions | None = None, on_progress: Progress | None = None
) -> Glb:
    """Build the scene of `write_scene_files` in memory."""
    options = options or SceneOptions()
    return _build(_on_frames(take, options), rigs, options, on_progress)


def _build_scene_of_each(take: Take, rigs: Sequence[Rig], options: SceneOptions) -> list[Glb]:
    """Build a scene for each actor. All have the clock of the take."""
    timed = _on_frames(take, options)
    parts = [timed.take[timed.take.actor == actor] for actor in timed.take.actors()]
    own = [[rigs[number % len(rigs)]] for number in range(len(parts))]
    return [_build(timed._replace(take=part), rig, options) for part, rig in zip(parts, own, strict=True)]


def _on_frames(take: Take, options: SceneOptions) -> TimedTake:
    _check(options, options.camera or camera_of_footage(take.footage))
    return on_frames(take, options.fps)


def _build(timed: TimedTake, rigs: Sequence[Rig], options: SceneOptions, on_progress: Progress | None = None) -> Glb:
    take, fps = timed.take, timed.fps
    camera = options.camera or camera_of_footage(take.footage)
    rig_of = assign_rigs(take.actor, rigs)
    writer = Writer(_empty(), {"name": "take", "channels": [], "samplers": []}, timed.end_s, 1 / fps, options.tolerance)
    roots = _add_actors(writer, take, [rigs[number] for number in rig_of.values()], options, on_progress)
    glb = writer.glb
    extras: Document = {"fps": fps, "frames": round(timed.end_s * fps) + 1, "width": camera.width, "height": camera.height}
    if take.footage.name is not None:
        extras |= {"footage": take.footage.name, "footage_frame": timed.footage_frame, "footage_fps": timed.footage_fps}
    scene: Document = {"name": "take", **({"nodes": roots} if roots else {}), "extras": extras}
    glb.document.update(scene=0, scenes=[scene])
    if writer.animation["channels"]:  # first in the list, because players start with the first animation
        glb.document["animations"] = [writer.animation, *glb.document.get("animations", [])]
    if options.animation_only:
        return without_surfaces(glb)
    if not _has_unknown_references(glb.document):
        glb = drop_unused(glb)  # the node of a character with one mesh, which only carried it here
    first = rigs[0] if rigs else None
    stage = portrait_stage(first, camera) if options.in_place and first is not None else footage_stage(camera)
    add_surroundings(glb, stage, options.light_lux)
    if not _has_unknown_references(glb.document):
        share_equal_views(glb)  # characters of one kind that look like different people
    return glb


def _has_unknown_references(document: Document) -> bool:
    """Return whether something in the file may name other things by numbers that `drop_unused` and `share_equal_views` do not update.

    That is an unknown extension, or an animation with a JSON pointer, whose extension the file may fail to name.
    """
    unknown = set(document.get("extensionsUsed", [])) - _KNOWN_REFERENCES
    if any(name == _VARIANTS or not name.startswith(_OF_MATERIALS) for name in unknown):
        return True
    channels = [channel for animation in document.get("animations", []) for channel in animation["channels"]]
    return any(channel["target"].get("path") == "pointer" for channel in channels)


def _check(options: SceneOptions, camera: Camera) -> None:
    if camera.width < 1 or camera.height < 1 or not camera.focal_px > 0:
        size = f"{camera.width} x {camera.height}, {camera.focal_px}"
        raise ValueError(f"expected a picture of at least 1 x 1 px and focal_px > 0, got {size}")
    if not 0 <= options.tolerance < 1:
        raise ValueError(f"tolerance {options.tolerance:g}: expected 0 (every frame is a keyframe) or more, below 1")
    if options.fps is not None and not 0 < options.fps <= 1000:
        raise ValueError(f"fps {options.fps:g}: expected more than 0, at most 1000")
    if not options.light_lux >= 0:
        raise ValueError(f"light_lux {options.light_lux:g}: expected 0 (no light) or more")


class _Character(NamedTuple):
    """A rig in the scene. offset: what was added to the numbers of its nodes; one_mesh: None if it keeps its nodes."""

    rig: Rig
    offset: int
    one_mesh: OneMesh | None


def _add_actors(
    writer: Writer, take: Take, rig_of_actor: Sequence[Rig], options: SceneOptions, on_progress: Progress | None
) -> list[int]:
    """Add every actor's character. rig_of_actor: for each actor in ascending order. Returns the root nodes."""
    actors = take.actors()
    characters: dict[int, _Character] = {}
    used: set[int] = set()
    roots: list[int] = []
    for rig in rig_of_actor:
        if id(rig) not in characters:
            one_mesh = None if options.separate_meshes or options.animation_only else as_one_mesh(rig)
            offset = append_document(writer.glb, rig.glb if one_mesh is None else one_mesh.glb)
            if options.animation_only:
                _restore_arms(writer.glb.document, rig, offset)
            characters[id(rig)] = _Character(rig, offset, one_mesh)
    for actor, rig in zip(actors, rig_of_actor, strict=True):
        performance = take[take.actor == actor]
        root = _add_root(writer.glb, rig, int(actor), options.in_place)
        node_of = _add_nodes(writer.glb, characters[id(rig)], root, is_first=id(rig) not in used)
        used.add(id(rig))
        time_s = performance.time_s.astype(np.float32)
        if not options.in_place:
            hide_when_unseen(writer, root, time_s)
        tracks = make_tracks(rig, performance, options.in_place)
        add_channels(writer, node_of, _joined(tracks, rig, characters[id(rig)].one_mesh), time_s)
        roots.append(root)
        if on_progress is not None:
            on_progress(len(roots), len(actors))
    return roots


def _restore_arms(document: Document, rig: Rig, offset: int) -> None:
    """Put the arm joints of a character back to where its file has them."""
    for number, stored in rig.stored_arms.items():
        node = document["nodes"][number + offset]
        for key in TRANSFORM_KEYS:
            node.pop(key, None)
        node.update({key: stored[key] for key in TRANSFORM_KEYS if key in stored})


def _add_root(glb: Glb, rig: Rig, actor: int, in_place: bool) -> int:
    root: Document = {"name": f"{rig.name} {actor}", "extras": {"actor": actor}}
    if rig.scale != 1 and not in_place:
        root["scale"] = [rig.scale] * 3
    return add(glb, "nodes", root)


def _add_nodes(glb: Glb, character: _Character, root: int, is_first: bool) -> dict[int | None, int]:
    """Hang a character's nodes on its root. Returns the node of the scene for each node of the rig; None is the root."""
    document, offset = glb.document, character.offset
    if character.one_mesh is not None:
        document["nodes"][root]["mesh"] = document["nodes"][offset]["mesh"]
        return {None: root}
    tops = scene_roots(character.rig.glb.document, offset)
    # The first actor of a rig gets the rig's own nodes, so that extensions that name nodes stay valid.
    copy_of = {} if is_first else copy_nodes(document, tops)
    document["nodes"][root]["children"] = [copy_of.get(top, top) for top in tops]
    own: dict[int | None, int] = {old: copy_of.get(old + offset, old + offset) for old in range(len(character.rig.world))}
    return {**own, None: root}


def _joined(tracks: list[Track], rig: Rig, one_mesh: OneMesh | None) -> list[Track]:
    """The tracks of a character whose meshes are joined: the weights of all nodes as one track of the root."""
    if one_mesh is None:
        return tracks
    weights = np.concatenate([track.values for track in tracks if track.path == "weights"], axis=1)
    rest = [track for track in tracks if track.path != "weights"]
    return [*rest, Track(None, "weights", np.ascontiguousarray(weights[:, one_mesh.columns]))]


def _empty() -> Glb:
    return Glb({"asset": {"version": "2.0", "generator": "mfn retarget"}})


def _relative(file: Path, scene: Path) -> str:
    """Where a file is, seen from the folder of a scene, with slashes. On another drive only its name is known."""
    try:
        return Path(os.path.relpath(file, scene.parent)).as_posix()
    except ValueError:
        return file.name
