"""`mfn detect`: find every face of pictures and write tables, JSON and drawings."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from mfn.batch.sources import PictureName, list_pictures, printable, read_picture_bytes
from mfn.cli.main import PROGRAM
from mfn.cli.options import add_network, add_quiet, load_predictor
from mfn.inference.predictor import Predictor
from mfn.inference.visualize import draw_boxes, draw_faces
from mfn.structures.camera import pitch_yaw_roll_deg
from mfn.structures.faces import Faces
from mfn.structures.faces_files import PictureInfo
from mfn.structures.head_model import default_head_model
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.command_line import whole_number
from retarget.io.files import atomic_write, make_folder, one_line_error
from retarget.io.images import Image, decode_image, write_image
from retarget.io.progress import Progress

_PURPOSES = {
    "json": "box, pose, identity and 51 ARKit weights of every face; `retarget animate` reads it",
    "png": "the picture with the faces drawn in",
    "jpg": "the picture with the faces drawn in",
}
_STRONGEST = 3  # expressions in a row of the table
_MIN_WEIGHT = 0.05  # weaker expressions are not named


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `mfn detect` and return the exit code."""
    parser = PROGRAM.parser(verb, "Find every face of pictures: a table, NAME.faces.json and NAME.faces.png.")
    text = "picture files, patterns, or directories, which are searched with their subdirectories"
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help=text)
    text = "directory to write into, made if it is missing; subdirectories stay subdirectories (default: the current directory)"
    parser.add_argument("--out", default=".", metavar="DIRECTORY", help=text)
    yes_no = argparse.BooleanOptionalAction
    parser.add_argument("--json", action=yes_no, default=True, help="whether to write NAME.faces.json")
    parser.add_argument("--draw", action=yes_no, default=True, help="whether to write NAME.faces.png")
    parser.add_argument("--boxes", action="store_true", help="draw boxes only, which is fast")
    parser.add_argument("--jpeg", action="store_true", help="draw into NAME.faces.jpg, which is much smaller than a PNG")
    text = "scale drawings down to this longer side (default: the size of the picture)"
    parser.add_argument("--draw-side", type=whole_number(16), default=None, metavar="PX", help=text)
    parser.add_argument("--resume", action="store_true", help="leave out pictures whose files are there already")
    add_quiet(parser)
    add_network(parser)
    options = parser.parse_args(arguments)
    formats = [name for name, wanted in (("json", options.json), ("jpg" if options.jpeg else "png", options.draw)) if wanted]
    output = DetectOutput(options.out, formats, Drawing(options.boxes, options.draw_side), options.resume)
    return detect(load_predictor(options), options.pictures, output, options.quiet)


class Drawing(NamedTuple):
    """How faces are drawn: only their boxes, and the longer side of the drawing in px, None for the size of the picture."""

    boxes_only: bool = False
    longer_side_px: int | None = None

    def draw(self, picture: Image, faces: Faces) -> Image:
        """Return a drawing of the faces of a picture (H, W, 3) uint8 RGB."""
        drawn = draw_boxes(picture, faces) if self.boxes_only else draw_faces(picture, faces, default_head_model())
        factor = (self.longer_side_px or np.inf) / max(drawn.shape[:2])
        if factor >= 1:
            return drawn
        import cv2

        size = max(1, round(drawn.shape[1] * factor)), max(1, round(drawn.shape[0] * factor))
        return np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), np.uint8)


class DetectOutput(NamedTuple):
    """What `detect` writes.

    Attributes:
        folder: Directory to write into, made if it is missing.
        formats: "json", "png" or "jpg", or none.
        drawing: How faces are drawn.
        resume: Leave out pictures whose files are all there. A JSON file notes the name of its picture, without the folder that was
            searched, and the size of its file. Pictures of one name and size are read again.
    """

    folder: str | Path = "."
    formats: Sequence[str] = ()
    drawing: Drawing = Drawing()
    resume: bool = False

    def files(self, name: str) -> dict[str, Path]:
        """Return the files of a picture by their format; `name` is its path in the folder without suffix."""
        return {kind: Path(self.folder) / f"{name}.faces.{kind}" for kind in self.formats}


def detect(predictor: Predictor, pictures: Sequence[str], output: DetectOutput, quiet: bool = False) -> int:
    """Print a table of every picture's faces and write files. A bad picture is reported, and the others go on.

    Args:
        predictor: Detects the faces.
        pictures: Files, directories that are searched with their subdirectories, patterns or URLs.
        output: What is written.
        quiet: Print errors only.

    Returns:
        The exit code: 1 if a picture could not be read.
    """
    listing = list_pictures(pictures)
    listing.print_skipped(quiet)
    if output.formats:
        make_folder(output.folder)
    named = _output_names(listing.pictures, output)
    if output.resume and output.formats:
        named = _without_done(named, output)
        if not quiet and len(named) < len(listing.pictures):
            print(f"{len(listing.pictures) - len(named)} of {len(listing.pictures)} pictures were done before")
    failed = 0
    with Progress(quiet or len(named) == 1) as progress:
        show = progress.bar("pictures")
        for number, (picture, name) in enumerate(named, 1):
            try:
                _detect_one(predictor, picture, output, name, quiet)
            except BrokenPipeError:  # the reader of the table has gone: this picture is not at fault
                raise
            except (ValueError, OSError, MemoryError, ImportError) as error:
                print(f"mfn: {one_line_error(error)}", file=sys.stderr)
                failed += 1
            show(number, len(named))
    if not quiet and failed < len(named):
        _print_written(output, [name for _, name in named])
    return int(failed > 0)


def _detect_one(predictor: Predictor, picture: PictureName, output: DetectOutput, name: str, quiet: bool) -> None:
    """Read one picture, print its table and write its files."""
    data = read_picture_bytes(picture.path)
    pixels = decode_image(data, picture.path)
    faces = predictor(pixels)
    if not quiet:
        print(table(picture.path, pixels, faces))
    for kind, file in output.files(name).items():
        make_folder(file.parent)
        if kind == "json":
            atomic_write(file, faces_json(picture.name, pixels, faces, len(data)).encode())
        else:
            write_image(file, output.drawing.draw(pixels, faces))


def _print_written(output: DetectOutput, names: Sequence[str]) -> None:
    """Print which files were written, a line for each kind."""
    for kind in output.formats:
        files = [file for file in (output.files(name)[kind] for name in names) if file.is_file()]
        if files:
            name = str(files[0]) if len(files) == 1 else f"{len(files)} files {Path(output.folder) / f'NAME.faces.{kind}'}"
            print(f"wrote {name}: {_PURPOSES[kind]}")


class FaceRow(NamedTuple):
    """One face in a table: its number, score, box in px, pitch yaw roll in whole degrees, and its strongest expressions."""

    number: int
    score: float
    box: tuple[float, ...]
    pose_deg: tuple[int, ...]
    expressions: str


def table(path: str | Path, picture: Image, faces: Faces) -> str:
    """Return a table of the faces of a picture, a line for each face, with angles in degrees."""
    lines = [f"{path}: {summary(picture, faces)}"]
    if not len(faces):
        return lines[0]
    lines.append("face score     x1     y1     x2     y2  pitch    yaw   roll  strongest expressions")
    for row in table_rows(faces):
        box, pose = "".join(f"{value:7.0f}" for value in row.box), "".join(f"{angle:+7d}" for angle in row.pose_deg)
        lines.append(f"{row.number:4d}  {row.score:.2f}{box}{pose}  {row.expressions}")
    return "\n".join(lines)


def summary(picture: Image, faces: Faces) -> str:
    """Return the size of a picture and the number of its faces, such as "1280 x 720 px, 9 faces"."""
    count = "no face" if not len(faces) else "1 face" if len(faces) == 1 else f"{len(faces)} faces"
    return f"{picture.shape[1]} x {picture.shape[0]} px, {count}"


def table_rows(faces: Faces) -> list[FaceRow]:
    """Return what a table says about each face."""
    rows = []
    for i, (angles, weights) in enumerate(zip(pitch_yaw_roll_deg(faces.rotation), faces.expression)):
        strongest = [k for k in np.argsort(-weights)[:_STRONGEST] if weights[k] >= _MIN_WEIGHT]
        named = ", ".join(f"{EXPRESSION_NAMES[k]} {weights[k]:.2f}" for k in strongest) or "neutral"
        pose = tuple(round(float(angle)) for angle in angles)
        rows.append(FaceRow(i, float(faces.score[i]), tuple(faces.box[i].tolist()), pose, named))
    return rows


def faces_json(name: str, picture: Image, faces: Faces, size_bytes: int | None = None) -> str:
    """Return `Faces.to_json` with the name of the picture, relative to the directory that was searched, its size and that of its file."""
    return faces.to_json(PictureInfo(printable(name), picture.shape[1], picture.shape[0], size_bytes))


def _output_names(pictures: Sequence[PictureName], output: DetectOutput) -> list[tuple[PictureName, str]]:
    """Return each picture with the name of its outputs: its name without suffix, with a number where that is taken.

    A run that resumes keeps the names that an earlier run gave, also where a new picture is sorted before the others.
    """
    known = _known_names(pictures, output) if _names_are_noted(output) else {}
    taken = {name.lower() for name in known.values()}
    named = []
    for index, picture in enumerate(pictures):
        name, number = known.get(index, ""), 1
        while not name:
            candidate, number = _numbered(picture, number), number + 1
            if candidate.lower() not in taken and not (_names_are_noted(output) and _noted_picture(output, candidate).name):
                name = candidate
        taken.add(name.lower())
        named.append((picture, name))
    return named


def _known_names(pictures: Sequence[PictureName], output: DetectOutput) -> dict[int, str]:
    """Return the names of outputs that an earlier run gave, by the index of their picture."""
    sharing = Counter(_numbered(picture, 1).lower() for picture in pictures)
    known: dict[int, str] = {}
    used: set[str] = set()
    for index, picture in enumerate(pictures):
        number, least = 1, sharing[_numbered(picture, 1).lower()]  # a file between others may be missing
        while number <= least or output.files(_numbered(picture, number))["json"].is_file():
            name = _numbered(picture, number)
            if name not in used and _noted_picture(output, name).may_be(picture):
                known[index] = name
                used.add(name)
                break
            number += 1
    return known


def _without_done(named: Sequence[tuple[PictureName, str]], output: DetectOutput) -> list[tuple[PictureName, str]]:
    """Leave out the pictures whose files are there.

    A JSON file notes the name of its picture within the folder that was searched, and the size of its file; a drawing notes none. Where
    two pictures could have made it, they are read again.
    """
    of_name: dict[str, list[PictureName]] = {}
    for picture, _ in named:
        of_name.setdefault(printable(picture.name), []).append(picture)
    sharing = Counter(_numbered(picture, 1).lower() for picture, _ in named)

    def is_done(picture: PictureName, name: str) -> bool:
        if _names_are_noted(output):
            others = of_name[printable(picture.name)]
            certain = len(others) == 1 or sum(map(_noted_picture(output, name).may_be, others)) == 1
        else:
            certain = name == _numbered(picture, 1) and sharing[name.lower()] == 1
        return certain and all(file.is_file() for file in output.files(name).values())

    return [item for item in named if not is_done(*item)]


def _numbered(picture: PictureName, number: int) -> str:
    """Return the name of a picture's outputs: its name without suffix, from the second one on with a number."""
    stem = PurePosixPath(picture.name).with_suffix("").as_posix()
    return stem if number == 1 else f"{stem}-{number}"


def _names_are_noted(output: DetectOutput) -> bool:
    """Return whether a run that resumes finds in its files whose they are."""
    return output.resume and "json" in output.formats


class _NotedPicture(NamedTuple):
    """The picture that a JSON file notes: its name, "" for none, and the size of its file, None where that is unknown."""

    name: str = ""
    bytes: int | None = None

    def may_be(self, picture: PictureName) -> bool:
        """Return whether this is the picture: the names are equal, and the sizes of the files too where both are known."""
        if self.name != printable(picture.name):
            return False
        size = _file_size(picture.path)
        return None in (self.bytes, size) or self.bytes == size


def _file_size(path: str) -> int | None:
    """Return the size of a file in bytes, or None where that is unknown, such as for a URL."""
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return None


def _noted_picture(output: DetectOutput, name: str) -> _NotedPicture:
    """Return the picture that a JSON file notes; none where there is no such file."""
    try:
        content = json.loads(output.files(name)["json"].read_bytes())
    except (OSError, ValueError, RecursionError):
        return _NotedPicture()
    if not isinstance(content, dict):
        return _NotedPicture()
    size = content.get("bytes")
    return _NotedPicture(str(content.get("picture", "")), size if isinstance(size, int) else None)
