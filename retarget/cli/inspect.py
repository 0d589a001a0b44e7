"""`retarget inspect`: list what each of ARKit's 52 coefficients moves in a character."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retarget.cli.options import add_rig_options, load_characters, output_path
from retarget.cli.program import PROGRAM
from retarget.io.command_line import EXIT_DONE, CommandParser
from retarget.rig.avatars import character_path

_DESCRIPTION = (
    "List what each of ARKit's 52 coefficients moves in a character (mesh, target, weight), its joints and how they were "
    "found, and what is missing."
)


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `retarget inspect` and return the exit code."""
    options = _parser(verb).parse_args(arguments)
    path = character_path(options.rig)
    if options.write_map:
        from retarget.gltf.document import read_glb
        from retarget.rig.names.name_map import write_name_map_draft

        out = output_path(options.write_map, Path(), path, *options.map)
        if out.suffix.lower() != ".json":
            raise ValueError(f"--write-map {out}: expected a file name that ends in .json")
        count = write_name_map_draft(out, read_glb(path))
        print(f"wrote {out}: {count} of 52 have a target; edit it, then give it as --map")
        return EXIT_DONE
    from retarget.cli.report import describe_rig

    print("\n".join(describe_rig(*load_characters([path], options))))
    return EXIT_DONE


def _parser(verb: str) -> CommandParser:
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    parser.add_argument("rig", metavar="RIG", help="character: a .glb, .gltf or .vrm file, or the name of one of ours")
    add_rig_options(parser)
    text = "write a draft of a name map for its targets, which you edit and then give as --map"
    parser.add_argument("--write-map", metavar="NAMES.json", help=text)
    return parser
