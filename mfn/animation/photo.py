"""What `mfn detect` and `mfn animate` do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.predictor import Predictor
from mfn.inference.tiling import TiledPredictor
from mfn.structures.camera import euler_from_rotation
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.files import atomic_write, make_folder, one_line_error, same_file
from retarget.io.images import Picture, find_images, read_image, write_image

if TYPE_CHECKING:
    from retarget import Rig, Take

STRONGEST = 3
FOUND_PX = 20  # of a face in the network's input: smaller ones are often missed (experiments/accuracy/face_size.py)
LARGE_LOST_PX = 40  # of a face in the picture: where ones of this size are lost, the user is told


def detect(
    predictor: Predictor, pictures: Sequence[str], out: str | Path, writes: dict[str, bool], quiet: bool = False
) -> int:
    """Tables, JSON and overlays of pictures; a bad one is reported and the others go on.

    out: directory, made if it is missing; writes: "json", "draw". -> exit code
    """
    paths = find_images(pictures)
    out = make_folder(out) if any(writes.values()) else Path(out)
    head_model = None
    if writes["draw"]:
        from mfn.structures.head_model import HeadModel

        head_model = HeadModel.load()
    failed = 0
    for path, name in progress(_named(paths), "pictures", len(paths), quiet or len(paths) == 1):
        try:
            picture = read_image(path)
            faces = predictor(picture)
            if not quiet:
                print(table(path, picture, faces) + lost(picture, predictor))
            if writes["json"]:
                atomic_write(out / f"{name}.faces.json", faces_json(path, picture, faces).encode())
            if writes["draw"]:
                from mfn.inference.visualize import draw_faces

                write_image(out / f"{name}.faces.png", draw_faces(picture, faces, head_model))
        except BrokenPipeError:  # nobody reads on: no fault of this picture
            raise
        except (ValueError, OSError, MemoryError) as error:
            print(f"mfn: {one_line_error(error)}", file=sys.stderr)
            failed += 1
            continue
        ends = [end for kind, end in (("json", "json"), ("draw", "png")) if writes[kind]]
        written = [str(out / f"{name}.faces.{end}") for end in ends]
        if written and not quiet:
            print(f"wrote {' and '.join(written)}\n")
    return int(failed > 0)


def lost(picture: Picture, predictor: Predictor) -> str:
    """A line on the faces that this picture shows too small for one look at all of it, or nothing."""
    least = FOUND_PX / min(predictor.letterbox(*picture.shape[:2]).factor)
    if isinstance(predictor, TiledPredictor) or least < LARGE_LOST_PX:
        return ""
    return f"\n(faces of less than about {least:.0f} px are often missed: --tiles looks for them)"


class AnimateOptions(NamedTuple):
    """avatars: files or names of ours, in turn; out: the file to write; plain: no photo behind the characters;
    tolerance: most that a key left out of a scene may change a weight, 0 for every sample; of clips, calibrate: each
    person's resting face rests; resume: go on with what was stopped; maps: of the avatars' own names, one for all or
    one for each; joints: their head, neck and eyes where these are not found (see `retarget.rig.rig.load_rig`)."""

    avatars: Sequence[str | None] = ()
    out: str | None = None
    focal_px: float | None = None
    plain: bool = False
    quiet: bool = False
    tolerance: float = 0.002
    calibrate: bool = False
    resume: bool = False
    maps: Sequence[str] = ()
    joints: tuple[str | None, str | None, str | None] = (None, None, None)


def animate(predictor: Predictor, source: str, options: AnimateOptions) -> int:
    """Characters in place of the people of a picture (.glb and .png) or of a clip (see `mfn.animation.clip`). -> exit code"""
    from mfn.video.reader import is_clip
    from retarget.performance.files import WRITE_SUFFIXES as TAKES
    from retarget.rig.avatars import find_avatar
    from retarget.rig.load import load_rigs

    target = Path(options.out or Path(source).stem + ".glb")
    clip = is_clip(source)
    if clip and isinstance(predictor, TiledPredictor):
        raise ValueError(f"{source}: --tiles is for pictures, this is a clip")
    allowed = (".glb", *TAKES, ".mp4") if clip else (".glb", *TAKES, ".png", ".jpg")
    if target.suffix.lower() not in allowed:
        raise ValueError(f"{target}: a {'clip' if clip else 'picture'} is written as {', '.join(allowed)}")
    if target.is_dir():
        raise ValueError(f"{target}: expected a file to write, this is a directory")
    if same_file(target, source):
        raise ValueError(f"{target}: this is the input; give --out another name")
    if options.focal_px is not None and not options.focal_px > 0:
        raise ValueError(f"--focal {options.focal_px}: expected a focal length in px, above 0")
    if not 0 <= options.tolerance < 1:
        raise ValueError(f"--tolerance {options.tolerance}: expected 0 (every sample is a key) or more, below 1")
    files = [find_avatar(name) for name in (options.avatars or [None])] if target.suffix.lower() not in TAKES else []
    if any(same_file(target, file) for file in files):
        raise ValueError(f"{target}: this is the avatar's own file; give --out another name")
    # Before the long part, so that what is wrong with them is said at once.
    rigs = load_rigs(files, options.maps if files else (), *options.joints)
    if clip:
        from mfn.animation.clip import film

        return film(predictor, source, rigs, target, options)
    if options.calibrate or options.resume:
        raise ValueError(f"{source}: --calibrate and --resume are for clips, this is a picture")
    picture = read_image(source)
    shot = shoot(predictor(picture), picture, options.focal_px)._replace(source=source)
    take = shot.take
    if not len(take):
        raise ValueError(f"{source}: no face was found in it, nothing was written (a lower --score may help, --tiles for small faces)")
    make_folder(target.parent)
    written = write_shot(shot, rigs, target, options.plain, options.tolerance)
    if not options.quiet:
        people = len(take.actors())
        print(f"{people} {'person' if people == 1 else 'people'}; wrote {' and '.join(map(str, written))}")
    return 0


class Shot(NamedTuple):
    """What a camera saw: a take, and for a single moment its picture (H, W, 3) uint8; source: the file it is from; size: width, height."""

    take: Take
    focal_px: float
    picture: Picture | None
    source: str = ""
    size: tuple[int, int] = (1280, 720)


def write_shot(
    shot: Shot, rigs: Sequence[Rig], target: Path, plain: bool = False, tolerance: float = 0.0
) -> list[Path]:
    """A take as a scene, a picture or itself, by the suffix of `target`; a scene of one moment gets a .png too."""
    from retarget import render_scene, write_scene
    from retarget.performance.files import WRITE_SUFFIXES, write_take

    written = [target]
    if target.suffix.lower() in WRITE_SUFFIXES:
        return write_take(shot.take, target)
    if target.suffix.lower() == ".glb":
        write_scene(shot.take, rigs, target, *shot.size, shot.focal_px, tolerance)
        target = target.with_suffix(".png")
        if same_file(target, shot.source):  # the photo itself is never written over
            target = target.with_name(target.stem + ".characters.png")
    if shot.picture is not None:
        height, width = shot.picture.shape[:2]
        behind = None if plain else shot.picture
        write_image(target, render_scene(shot.take, rigs, width, height, shot.focal_px, behind, whole_body=plain))
        written = list(dict.fromkeys([*written, target]))
    return written


def shoot(faces: Faces, picture: Picture, focal_px: float | None = None) -> Shot:
    """The people of one picture as they stand before its camera."""
    from mfn.animation.bridge import default_focal_px, faces_to_take

    size = (picture.shape[1], picture.shape[0])
    focal_px = focal_px or default_focal_px(*size)
    return Shot(faces_to_take(faces, size, focal_px), focal_px, picture, size=size)


def table(path: str | Path, picture: Picture, faces: Faces) -> str:
    """What was found in a picture, a line for each face, angles in degrees."""
    height, width = picture.shape[:2]
    count = "no face" if not len(faces) else "1 face" if len(faces) == 1 else f"{len(faces)} faces"
    lines = [f"{path}: {width} x {height} px, {count}"]
    if not len(faces):
        return lines[0]
    lines.append("face score     x1     y1     x2     y2  pitch    yaw   roll  strongest expressions")
    for i, (angles, weights) in enumerate(zip(pose_deg(faces), faces.expression)):
        box = "".join(f"{v:7.0f}" for v in faces.box[i])
        pose = "".join(f"{round(float(v)):+7d}" for v in angles)
        best = [k for k in np.argsort(-weights)[:STRONGEST] if weights[k] >= 0.05]
        named = ", ".join(f"{EXPRESSION_NAMES[k]} {weights[k]:.2f}" for k in best) or "neutral"
        lines.append(f"{i:4d}  {faces.score[i]:.2f}{box}{pose}  {named}")
    return "\n".join(lines)


def pose_deg(faces: Faces) -> NDArray:
    """(N, 3) pitch, yaw, roll in degrees."""
    return np.rad2deg(euler_from_rotation(faces.rotation)).reshape(len(faces), 3)


def faces_json(path: str | Path, picture: Picture, faces: Faces) -> str:
    """`Faces.to_json` (so `Faces.from_json` reads it) with the picture's name and size, and angles in degrees."""
    data: dict[str, Any] = json.loads(faces.to_json())
    for row, angles in zip(data["faces"], pose_deg(faces)):
        row["pose_deg"] = {name: round(float(a), 2) for name, a in zip(("pitch", "yaw", "roll"), angles)}
    head = {"picture": Path(path).name, "width": picture.shape[1], "height": picture.shape[0]}
    return json.dumps({**head, **data}, indent=1)


def progress(items: Iterable[Any], unit: str, total: int | None, quiet: bool) -> Iterable[Any]:
    """The items, with a bar on stderr if somebody is there to see it."""
    if quiet or not sys.stderr.isatty():
        return items
    from tqdm import tqdm

    return tqdm(items, total=total, unit=f" {unit}", leave=False)


def _named(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Each path with a name for what is written of it: its stem, with a number where that was taken."""
    taken: set[str] = set()
    for path in paths:
        name, number = path.stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{path.stem}-{number}"
        taken.add(name.lower())
        yield path, name
