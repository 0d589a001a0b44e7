"""`mfn detect`: find every face of pictures and write tables, JSON and drawings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mfn.cli.main import PROGRAM
from mfn.cli.options import add_network, add_quiet, add_tiles, load_tiled_predictor
from mfn.inference.predictor import Predictor
from mfn.inference.tiling import TiledPredictor
from mfn.inference.visualize import draw_faces
from mfn.structures.camera import pitch_yaw_roll_deg
from mfn.structures.faces import Faces
from mfn.structures.faces_json import PictureInfo
from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.files import atomic_write, make_folder, one_line_error
from retarget.io.images import Image, find_images, read_image, write_image
from retarget.io.progress import Progress

_PURPOSES = {
    "json": "box, pose, identity and 51 ARKit weights of every face; `retarget animate` reads it",
    "png": "the picture with boxes, head axes and meshes drawn in",
}
_STRONGEST = 3  # expressions in a row of the table
_MIN_WEIGHT = 0.05  # weaker expressions are not named
_RELIABLE_PX = 20  # height of a face in the network's input below which it is often missed (experiments/accuracy/face_size.py)
_WARN_FROM_PX = 40  # height in the picture: a warning appears where faces of this height may be missed


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `mfn detect` and return the exit code."""
    parser = PROGRAM.parser(verb, "Find every face of pictures: a table, NAME.faces.json and NAME.faces.png.")
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="picture files, or directories of pictures")
    text = "directory to write into; it is made if it is missing (default: the current directory)"
    parser.add_argument("--out", default=".", metavar="DIRECTORY", help=text)
    yes_no = argparse.BooleanOptionalAction
    parser.add_argument("--json", action=yes_no, default=True, help="whether to write NAME.faces.json")
    parser.add_argument("--draw", action=yes_no, default=True, help="whether to write NAME.faces.png")
    add_quiet(parser)
    add_network(parser)
    add_tiles(parser)
    options = parser.parse_args(arguments)
    formats = [name for name, wanted in (("json", options.json), ("png", options.draw)) if wanted]
    return detect(load_tiled_predictor(options), options.pictures, options.out, formats, options.quiet)


def detect(
    predictor: Predictor | TiledPredictor, pictures: Sequence[str], out: str | Path, formats: Sequence[str], quiet: bool = False
) -> int:
    """Print a table of every picture's faces and write files. A bad picture is reported, and the others go on.

    Args:
        predictor: Detects the faces.
        pictures: Files, or directories of pictures.
        out: Directory to write into, made if it is missing.
        formats: "json", "png", both or none.
        quiet: Print errors only.

    Returns:
        The exit code: 1 if a picture could not be read.
    """
    paths = find_images(pictures)
    out = make_folder(out) if formats else Path(out)
    head_model = HeadModel.load() if "png" in formats else None
    failed = 0
    written: dict[str, list[Path]] = {name: [] for name in formats}
    with Progress(quiet or len(paths) == 1) as progress:
        show = progress.bar("pictures")
        for number, (path, name) in enumerate(_output_names(paths), 1):
            try:
                picture = read_image(path)
                faces = predictor(picture)
                if not quiet:
                    print(table(path, picture, faces) + small_face_warning(picture, predictor))
                for kind in formats:
                    file = out / f"{name}.faces.{kind}"
                    if kind == "json":
                        atomic_write(file, faces_json(path, picture, faces).encode())
                    else:
                        write_image(file, draw_faces(picture, faces, head_model))
                    written[kind].append(file)
            except BrokenPipeError:  # the reader of the table has gone: this picture is not at fault
                raise
            except (ValueError, OSError, MemoryError, ImportError) as error:
                print(f"mfn: {one_line_error(error)}", file=sys.stderr)
                failed += 1
            show(number, len(paths))
    if not quiet:
        for kind, files in written.items():
            if files:
                name = str(files[0]) if len(files) == 1 else f"{len(files)} files {out / f'NAME.faces.{kind}'}"
                print(f"wrote {name}: {_PURPOSES[kind]}")
    return int(failed > 0)


def small_face_warning(picture: Image, predictor: Predictor | TiledPredictor) -> str:
    """Return a line about the faces that may be too small for the network in this picture, or ""."""
    if isinstance(predictor, TiledPredictor):
        return ""
    reliable_px = _RELIABLE_PX / min(predictor.letterbox(*picture.shape[:2]).factor)
    if reliable_px < _WARN_FROM_PX:
        return ""
    return f"\n(faces of less than about {reliable_px:.0f} px are often missed here: --tiles finds them)"


def table(path: str | Path, picture: Image, faces: Faces) -> str:
    """Return a table of the faces of a picture, a line for each face, with angles in degrees."""
    height, width = picture.shape[:2]
    count = "no face" if not len(faces) else "1 face" if len(faces) == 1 else f"{len(faces)} faces"
    lines = [f"{path}: {width} x {height} px, {count}"]
    if not len(faces):
        return lines[0]
    lines.append("face score     x1     y1     x2     y2  pitch    yaw   roll  strongest expressions")
    for i, (angles, weights) in enumerate(zip(pitch_yaw_roll_deg(faces.rotation), faces.expression)):
        box = "".join(f"{value:7.0f}" for value in faces.box[i])
        pose = "".join(f"{round(float(angle)):+7d}" for angle in angles)
        strongest = [k for k in np.argsort(-weights)[:_STRONGEST] if weights[k] >= _MIN_WEIGHT]
        named = ", ".join(f"{EXPRESSION_NAMES[k]} {weights[k]:.2f}" for k in strongest) or "neutral"
        lines.append(f"{i:4d}  {faces.score[i]:.2f}{box}{pose}  {named}")
    return "\n".join(lines)


def faces_json(path: str | Path, picture: Image, faces: Faces) -> str:
    """Return `Faces.to_json` with the name and size of the picture."""
    return faces.to_json(PictureInfo(Path(path).name, picture.shape[1], picture.shape[0]))


def _output_names(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each path with the name of its outputs: its stem, with a number where that name is taken."""
    taken: set[str] = set()
    for path in paths:
        name, number = path.stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{path.stem}-{number}"
        taken.add(name.lower())
        yield path, name
