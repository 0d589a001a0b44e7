"""Write a take as a 3D scene, an image or a performance file. Photos and clips both end here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mfn.animation.options import AnimateOptions
from retarget.animation.scene import SceneOptions, write_scene_files
from retarget.animation.surroundings import Camera
from retarget.animation.vrma import write_vrma
from retarget.io.images import Image, write_image
from retarget.io.scene_arguments import CHARACTERS_SUFFIX, ExpressionKind
from retarget.performance import files as take_files
from retarget.performance.take import Take
from retarget.render.scene import render_scene
from retarget.rig.rig import Rig

SCENE_SUFFIX = ".glb"
IMAGE_SUFFIXES = (".png", ".jpg")
VIDEO_SUFFIX = ".mp4"
TAKE_SUFFIXES = (*take_files.WRITE_SUFFIXES, ".vrma")
SCENE_SUFFIXES = (SCENE_SUFFIX, ".fbx", ".blend")

PURPOSES = {
    ".glb": "the characters as a 3D scene; open it in Blender, Unreal, Unity or a glTF viewer",
    ".png": "the characters in the places of the people",
    ".jpg": "the characters in the places of the people",
    ".mp4": "the clip with the characters in the places of the people, and its sound",
    ".fbx": "the characters as a 3D scene; open it in Maya, Unreal, Unity or another program",
    ".blend": "the characters over the footage as a Blender file, ready to render",
    ".vrma": "the performance of one person for any VRM avatar; VRM players read it",
    ".npz": "the performance alone; `retarget animate` puts it on any character",
    ".jsonl": "the performance alone, one JSON object for each person and frame",
    ".csv": "the performance of one person, as Live Link Face records it; Unreal's MetaHuman tools read it",
    ".txt": "the performance of one person, as iFacialMocap sends it; programs that know this phone app, and `retarget`, read it",
}
"""What each kind of file is for, by suffix."""


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """The camera that saw a take, and how the take is written."""

    width: int
    """Width of the camera's image, px."""
    height: int
    """Height of the camera's image, px."""
    focal_px: float
    """Focal length of the camera, px."""
    image: Image | None = None
    """(height, width, 3) uint8 RGB: the photo behind the characters. None for a clip, of which no image is drawn."""
    plain: bool = False
    """Draw the characters on a plain background, with their bodies."""
    source: str | Path | None = None
    """The input file. A scene notes its name and its place."""
    scene: SceneOptions = SceneOptions()  # noqa: RUF009  # immutable
    """How a scene is written. Camera and footage are those above."""
    expressions: ExpressionKind = "preset"
    """.vrma: "preset" for VRM's expressions, "arkit" for ARKit's shapes."""

    @classmethod
    def of(cls, options: AnimateOptions, source: str | Path, size: tuple[int, int], focal_px: float) -> WriteOptions:
        """Return what `mfn animate` was asked to write of an input with this size (width, height) and focal length, px."""
        scene = SceneOptions(
            fps=options.fps,
            tolerance=options.tolerance,
            in_place=options.in_place,
            animation_only=options.animation_only,
            separate_meshes=options.separate_meshes,
            light_lux=options.light_lux,
        )
        return cls(
            width=size[0], height=size[1], focal_px=focal_px, plain=options.plain, source=source, scene=scene,
            expressions=options.expressions,
        )  # fmt: skip


def picture_beside(scene: Path) -> Path:
    """Return the picture that is written beside a scene of a photo.

    It never has the name of the scene with .png alone, because a photo of the user may have that name.
    """
    return scene.with_suffix(CHARACTERS_SUFFIX)


def write_take(take: Take, rigs: Sequence[Rig], out: Path, options: WriteOptions) -> list[Path]:
    """Write a take in the format that the suffix of `out` names.

    Args:
        take: The performance. Its actors take the rigs in turn.
        rigs: The characters; unused for a performance file.
        out: .glb for a scene (with `options.image` also the file `picture_beside`), .png or .jpg for an image, or .npz,
            .jsonl, .csv, .txt or .vrma for the performance alone.
        options: The camera, and how to write.

    Returns:
        The files written.
    """
    suffix = out.suffix.lower()
    if options.source is not None:
        take = replace(take, footage=replace(take.footage, name=Path(options.source).name))
    if suffix == ".vrma":
        return write_vrma(take, out, options.scene.fps, options.scene.tolerance, options.expressions)
    if suffix in TAKE_SUFFIXES:
        return take_files.write_take(take, out)
    written = []
    image_file = out
    if suffix in SCENE_SUFFIXES:
        camera = Camera(options.width, options.height, options.focal_px)
        footage = None if options.source is None else Path(options.source)
        settings = replace(options.scene, camera=camera, footage_file=footage)
        written += write_scene_files(take, rigs, out, settings)
        image_file = picture_beside(out)
    if options.image is not None:
        background = None if options.plain else options.image
        size = options.width, options.height
        image = render_scene(take, rigs, *size, options.focal_px, background, whole_body=options.plain)
        write_image(image_file, image)
        written.append(image_file)
    return written
