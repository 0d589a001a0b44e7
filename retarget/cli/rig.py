"""`retarget rig`: make ARKit's shapes for a head mesh that has none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retarget.cli.options import add_out, add_quiet, output_path
from retarget.cli.program import PROGRAM
from retarget.io.command_line import EXIT_DONE, CommandParser
from retarget.io.progress import Progress

_DESCRIPTION = (
    "Make ARKit's shapes for a head mesh that has none, by deformation transfer from our head model: 51 that move; tongueOut stays empty."
)
_LANDMARKS = (
    "Landmarks (left is the subject's left). Required: noseTip, chin, and for Left and Right eyeOuter, eyeInner and "
    "mouthCorner, such as eyeOuterLeft. Recommended: noseBridge, noseBase, foreheadTop, upperLip and lowerLip (middle of the "
    "red's upper and lower edge), and for both sides eyeUpper, eyeLower (middle of the eyelids' edges), browInner, "
    "browOuter, noseWing, jawAngle and ear (its front). A landmark that is missing on one side is mirrored from the other. "
    "tongueOut has no effect, because our head model has no such shape."
)


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `retarget rig` and return the exit code."""
    options = _parser(verb).parse_args(arguments)
    from retarget.autorig.rig_mesh import rig_mesh

    default = Path(options.mesh).with_suffix(".rigged.glb")
    out = output_path(options.out, default, options.mesh, options.landmarks, options.source)
    with Progress(options.quiet) as progress:
        progress.stage(f"reading {options.mesh}")
        result = rig_mesh(options.mesh, options.landmarks, out, options.source, progress.bar("steps"))
        for remark in result.remarks:
            progress.note(remark)
    if not options.quiet:
        if result.mirrored:
            print(f"mirrored landmarks: {', '.join(result.mirrored)}")
        print(f"wrote {out}: 51 shapes (tongueOut has no effect), {result.moved} of {result.vertices} vertices move")
    return EXIT_DONE


def _parser(verb: str) -> CommandParser:
    parser = PROGRAM.parser(verb, _DESCRIPTION, _LANDMARKS)
    parser.add_argument("mesh", metavar="MESH", help="neutral head, .obj, .glb or .gltf, in any size and orientation")
    text = 'where the landmarks are, a .json file: {"noseTip": vertex number from 0, or [x, y, z], ...}; see below; required'
    parser.add_argument("--landmarks", required=True, metavar="POINTS.json", help=text)
    add_out(parser, "rig to write, .glb or .gltf (default: NAME.rigged.glb)")
    text = "head model that the shapes are taken from, .npz (default: ours)"
    parser.add_argument("--source", metavar="HEAD.npz", help=text)
    add_quiet(parser)
    return parser
