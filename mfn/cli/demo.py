"""`mfn demo`: render a crowd of known faces, run the whole path on it, and compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mfn.animation.bridge import faces_to_take
from mfn.animation.output import PURPOSES, WriteOptions, write_take
from mfn.cli.detect import faces_json
from mfn.cli.main import PROGRAM
from mfn.cli.options import add_avatar, add_network, load_predictor
from mfn.inference.predictor import Predictor
from mfn.inference.visualize import draw_faces
from mfn.structures.boxes import box_iou
from mfn.structures.camera import pitch_yaw_roll_deg
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.structures.metrics import landmark_nme, match_faces
from mfn.synthesis.captions import stack_with_captions
from mfn.synthesis.group_photo import make_group_photo
from retarget.geometry.weak_perspective import default_focal_px
from retarget.io.command_line import EXIT_DONE, whole_number
from retarget.io.files import atomic_write, make_folder
from retarget.io.images import read_image, write_image
from retarget.io.progress import Progress
from retarget.rig.avatars import AVATAR_NAMES, find_avatar
from retarget.rig.load import load_rigs

SIZE = (1280, 720)  # width, height of the image, px
CAPTIONS = ("people: one picture", "characters: all faces found in one pass")
_MAX_PEOPLE = 500
_PURPOSES = {
    "crowd.png": "the rendered picture",
    "crowd.faces.json": "box, pose, identity and 51 ARKit weights of every face",
    "crowd.faces.png": "the picture with boxes, head axes and meshes drawn in",
    "demo.png": "people above, characters below: look at this one first",
}


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `mfn demo` and return the exit code."""
    text = "Render a crowd of our own heads with known faces, run the whole path on it, and compare. No photo is needed."
    parser = PROGRAM.parser(verb, text)
    text = "directory to write into (default: %(default)s)"
    parser.add_argument("--out", default="mfn-demo", metavar="DIRECTORY", help=text)
    text = f"number of heads, 1 to {_MAX_PEOPLE} (default: %(default)s)"
    parser.add_argument("--people", type=whole_number(1, _MAX_PEOPLE), default=9, metavar="N", help=text)
    text = "each number makes another crowd (default: %(default)s)"
    parser.add_argument("--seed", type=whole_number(0), default=0, metavar="N", help=text)
    add_avatar(parser, "ours, in turn")
    add_network(parser)
    options = parser.parse_args(arguments)
    return demo(load_predictor(options), options.out, options.people, options.seed, options.avatar)


def demo(predictor: Predictor, out: str | Path, people: int, seed: int, avatars: Sequence[str | None]) -> int:
    """Render a crowd, detect its faces, compare, and write everything.

    Args:
        predictor: Detects the faces.
        out: Directory to write into, made if it is missing.
        people: Number of heads.
        seed: Seed of the random numbers.
        avatars: Files or names of the characters. Empty: all of ours, in turn.

    Returns:
        The exit code.
    """
    head_model = HeadModel.load()
    rigs = load_rigs([find_avatar(name) for name in avatars or AVATAR_NAMES])
    out = make_folder(out)
    with Progress() as progress:
        progress.stage(f"painting {people} people")
        group = make_group_photo(head_model, people, SIZE, seed)
        target, image = group.faces, group.render()
        progress.stage("detecting faces")
        faces = predictor(image)
    print("\n".join(report(target, faces, head_model)))
    with Progress() as progress:
        progress.stage("writing files")
        write_image(out / "crowd.png", image)
        atomic_write(out / "crowd.faces.json", faces_json("crowd.png", image, faces).encode())
        write_image(out / "crowd.faces.png", draw_faces(image, faces, head_model))
        written = [out / "crowd.png", out / "crowd.faces.json", out / "crowd.faces.png"]
        if len(faces):
            focal_px = default_focal_px(*SIZE)
            settings = WriteOptions(width=SIZE[0], height=SIZE[1], focal_px=focal_px, image=image)
            written += write_take(faces_to_take(faces, SIZE, focal_px), rigs, out / "crowd.glb", settings)
            characters = read_image(out / "crowd.characters.png")
            write_image(out / "demo.png", stack_with_captions([(image, CAPTIONS[0]), (characters, CAPTIONS[1])]))
            written.append(out / "demo.png")
    for file in written:
        print(f"wrote {file}: {_PURPOSES.get(file.name) or PURPOSES[file.suffix]}")
    return EXIT_DONE


def report(target: Faces, pred: Faces, head_model: HeadModel) -> list[str]:
    """Compare predicted faces with the true ones.

    Args:
        target: The true faces.
        pred: The predicted faces.
        head_model: Defines the landmarks.

    Returns:
        The lines of a report: counts, a row for each face that was found, with its number in the drawing, and the means.
    """
    match = match_faces(target, pred)
    t, p = target[match.target], pred[match.pred]
    lines = [f"{len(target)} people rendered, {len(t)} found, {len(pred) - len(p)} false"]
    if not len(t):
        return lines
    iou = np.diag(box_iou(t.box, p.box))
    true_deg, pred_deg = pitch_yaw_roll_deg(t.rotation), pitch_yaw_roll_deg(p.rotation)
    error_deg = np.abs((pred_deg - true_deg + 180) % 360 - 180)
    expression_error = np.abs(t.expression - p.expression)
    nme = landmark_nme(t, p, head_model)
    lines.append("  face   IoU   pitch true/found   yaw true/found   roll true/found   expression error   68-point NME")
    for k in np.argsort(match.pred):
        angles = zip(true_deg[k], pred_deg[k])
        pose = "".join(f"{round(float(true)):+11d} /{round(float(found)):+4d}" for true, found in angles)
        lines.append(f"{match.pred[k]:6d}  {iou[k]:.2f} {pose} {expression_error[k].mean():18.3f} {nme[k]:13.1f} %")
    pitch, yaw, roll = error_deg.mean(0)
    pose = f"error of pitch {pitch:.1f}, yaw {yaw:.1f}, roll {roll:.1f} deg"
    neutral = t.expression.mean()
    rest = f"expression {expression_error.mean():.3f} ({neutral:.3f} if all weights were 0), 68-point NME {nme.mean():.2f} %"
    return [*lines, f"mean: box IoU {iou.mean():.2f}, {pose}, {rest}"]
