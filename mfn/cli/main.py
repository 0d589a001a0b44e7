"""The `mfn` command: choose a verb and run it. A verb's own module is imported only when the verb is used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

import mfn
from retarget.io.command_line import EXIT_DONE, EXIT_USAGE, run_command
from retarget.io.suggest import did_you_mean


class Verb(NamedTuple):
    """One command of `mfn`."""

    arguments: str  # positional arguments, as the help shows them
    summary: str
    module: str  # has `main(verb, arguments) -> exit code`
    extra: str = ""  # what has to be installed beside the core


VERBS = {
    "detect": Verb("PICTURES...", "find every face: a table, NAME.faces.json and NAME.faces.png", "mfn.cli.detect"),
    "animate": Verb("PICTURE|CLIP", "put characters in the places of the people: NAME.glb and NAME.png", "mfn.cli.animate"),
    "live": Verb("CAMERA|CLIP", "drive VTuber programs, Unreal or a window; camera 0 is the first", "mfn.cli.live"),
    "demo": Verb("", "try everything without a photo, on a rendered crowd of known faces", "mfn.cli.demo"),
    "bench": Verb("", "measure the time of a frame on this machine", "mfn.cli.bench"),
    "annotate": Verb("PHOTOS...", "label your own photos, as training data", "mfn.cli.annotate", "annotate"),
    "fit": Verb("", "train a network: mfn fit --config configs/mfn/default.yaml", "mfn.cli.train", "train"),
    "validate": Verb("", "measure a network on the validation data", "mfn.cli.train", "train"),
    "test": Verb("", "measure a network on the test data", "mfn.cli.train", "train"),
    "export": Verb("", "convert a training checkpoint to an ONNX file for --weights", "mfn.cli.export", "train"),
    "quantize": Verb("NETWORK PICTURES...", "convert an ONNX file to 8-bit integers: twice as fast", "mfn.cli.export", "train"),
}
OLD_NAMES = {"quantise": "quantize"}
_INDENT = 24


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name; None: that of this process) and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return run_command("mfn", lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help", "help"):
        print(help_text(), end="")
        return EXIT_DONE
    if first == "--version":
        print(f"mfn {mfn.__version__}")
        return EXIT_DONE
    verb = OLD_NAMES.get(first, first)
    if verb not in VERBS:
        print(help_text(), file=sys.stderr)
        problem = f"no command {first!r}{did_you_mean(first, VERBS)}" if first else "a command is missing"
        print(f"mfn: {problem}", file=sys.stderr)
        return EXIT_USAGE
    run: Callable[[str, Sequence[str]], int] = import_module(VERBS[verb].module).main
    return run(verb, arguments[1:])


def help_text() -> str:
    """Return the help of `mfn`, made from the table of verbs."""
    lines = [
        "usage: mfn COMMAND [options]",
        "",
        "Find every face of a picture in one pass: box, head pose, identity and 51 ARKit expression weights.",
        "Drive characters with them.",
        "",
    ]
    for name, verb in VERBS.items():
        extra = f"  (pip install '.[{verb.extra}]')" if verb.extra else ""
        command = f"{name} {verb.arguments}".strip()
        gap = f"\n{' ' * (_INDENT + 2)}" if len(command) > _INDENT - 2 else " " * (_INDENT - len(command))
        lines.append(f"  {command}{gap}{verb.summary}{extra}")
    lines += [
        "",
        "mfn COMMAND --help explains a command. mfn --version prints the version.",
        "Exit codes: 0 done, 1 bad input, 2 wrong usage, 130 stopped by Ctrl-C.",
    ]
    return "\n".join(lines) + "\n"
