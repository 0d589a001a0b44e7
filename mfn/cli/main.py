"""The `mfn` command: which verb, which options, which exit code. What does the work is imported when it is asked for.

Exit codes: 0 done, 1 bad input (one clear line on stderr), 2 usage, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from io import TextIOWrapper
from typing import TYPE_CHECKING

from retarget.io.files import one_line_error

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

HELP = """\
usage: mfn COMMAND [options]

Every face of a picture in one pass: box, head pose, identity and 51 ARKit weights; and characters driven by them.

  detect PICTURES...      a table; NAME.faces.json; NAME.faces.png with boxes, axes and meshes over the photo
  animate PICTURE|CLIP    characters in place of the people: NAME.glb and NAME.png (of a clip an animated NAME.glb)
  live CAMERA|CLIP        to VTuber programs (--to vmc), Unreal (--to livelink) or a window; 0 is the first camera
  demo                    no input needed: a rendered crowd with known faces, recovered against true
  bench                   how long a frame takes on this machine, by the number of faces

  annotate PHOTOS...      labels of your own photos, a pack to train on    (pip install '.[annotate]')
  fit, validate, test     training through Lightning:  mfn fit --config configs/mfn/default.yaml    (pip install '.[train]')
  export                  a checkpoint of that training to an ONNX file, which --weights takes
  quantise                that file in 8-bit integers: twice as fast

mfn COMMAND --help says more. Exit codes: 0 done, 1 bad input, 2 usage, 130 stopped by Ctrl-C.
"""

TRAINING = ("fit", "validate", "test")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and gives its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be more than this terminal can show
    verb = arguments[0] if arguments else ""
    if verb in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if verb == "--version":
        from mfn import __version__

        print(f"mfn {__version__}")
        return 0
    run = _verbs().get(verb)
    if run is None:
        print(HELP, end="", file=sys.stderr)
        print(f"\nmfn: {f'no command {verb!r}' if verb else 'which command?'}", file=sys.stderr)
        return 2
    return guarded(run, arguments[1:])


def guarded(run: Callable[[list[str]], int], arguments: list[str]) -> int:
    """The exit code of a command. What its user did wrong is one line, never a traceback."""
    try:
        return run(arguments)
    except KeyboardInterrupt:
        print("\nmfn: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `mfn detect … | head`
        sys.stderr.close()
        return 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except (ValueError, OSError, ImportError) as error:
        print(f"mfn: {one_line_error(error)}", file=sys.stderr)
        return 1
    except MemoryError:
        print("mfn: not enough memory for this input", file=sys.stderr)
        return 1


def _verbs() -> dict[str, Callable[[list[str]], int]]:
    own: dict[str, Callable[[list[str]], int]]
    own = {"detect": _detect, "animate": _animate, "live": _live, "demo": _demo, "bench": _bench, "annotate": _annotate}
    own |= {verb: partial(_with_torch, f"mfn.models.export.{module}", []) for verb, module in (("export", "to_onnx"), ("quantise", "quantize"))}
    return own | {verb: partial(_with_torch, "mfn.training.multi_face", [verb]) for verb in TRAINING}


def _parser(verb: str, takes: str, what: str) -> ArgumentParser:
    """takes: what follows the verb. Said first, as argparse would have it last, where `--to vmc 0` takes the 0 for a program."""
    from argparse import HelpFormatter

    from jsonargparse import ArgumentParser

    usage = f"mfn {verb} {takes}".rstrip() + " [options]"
    return ArgumentParser(prog=f"mfn {verb}", usage=usage, description=what, formatter_class=HelpFormatter)


def _add_network(parser: ArgumentParser, weights: str = "large") -> None:
    text = "report what is a face with at least this probability, 0 to 1 (default: %(default)s)"
    parser.add_argument("--score", type=float, default=0.55, metavar="P", help=text)
    text = "see as many px as WxH has, such as 960x576: more finds smaller faces and takes longer (default: the network's own)"
    parser.add_argument("--size", type=str, default="", metavar="WxH", help=text)
    text = "large, small (faster, misses the smallest faces), or a network of your own, .onnx (default: %(default)s)"
    parser.add_argument("--weights", type=str, default=weights, metavar="NAME", help=text)
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="cores to use, 0: all (default: %(default)s)")


def _add_tiles(parser: ArgumentParser) -> None:
    text = "pictures: look in overlapping, enlarged tiles too, for the small faces of large group photos; takes seconds a megapixel"
    parser.add_argument("--tiles", action="store_true", help=text)
    text = "with --tiles: height of the least face that is looked for; twice as large is four times as fast (default: %(default)s)"
    parser.add_argument("--least", type=float, default=8.0, metavar="PX", help=text)


def _add_avatar(parser: ArgumentParser, default: str = "robot") -> None:
    text = "a rigged .glb or .vrm, or one of ours: robot, lion, person, monster; given several times, people take them in turn"
    parser.add_argument("--avatar", type=str, action="append", default=[], metavar="FILE", help=f"{text} (default: {default})")


def _predictor(options):  # type: ignore[no-untyped-def]  # Namespace -> Predictor
    from mfn.inference.predictor import Predictor

    width, cross, height = options.size.lower().partition("x")
    if options.size and not (cross and width.isdecimal() and height.isdecimal()):
        raise ValueError(f"--size {options.size}: expected WIDTHxHEIGHT, such as 640x384")
    size = (int(width), int(height)) if options.size else None
    if options.threads > 0:
        import cv2

        cv2.setNumThreads(options.threads)
    predictor = Predictor.load(options.weights, size=size, score=options.score, threads=options.threads)
    if not options.get("tiles", False):
        return predictor
    from mfn.inference.tiling import TiledPredictor

    return TiledPredictor(predictor, options.least)


def _yes_no(parser: ArgumentParser, name: str, text: str) -> None:
    from jsonargparse import ActionYesNo

    parser.add_argument(f"--{name}", action=ActionYesNo(no_prefix="no-"), default=True, help=text)


def _detect(arguments: list[str]) -> int:
    what = "Finds every face in pictures: a table, NAME.faces.json and NAME.faces.png."
    parser = _parser("detect", "PICTURES...", what)
    parser.add_argument("pictures", nargs="+", type=str, help="files, or directories for the pictures in them")
    text = "where to write, made if it is missing (default: the current directory)"
    parser.add_argument("--out", type=str, default=".", metavar="DIRECTORY", help=text)
    _yes_no(parser, "json", "write NAME.faces.json, or not (default: write)")
    _yes_no(parser, "draw", "write NAME.faces.png, or not (default: write)")
    parser.add_argument("--quiet", action="store_true", help="no table, no progress")
    _add_network(parser)
    _add_tiles(parser)
    options = parser.parse_args(arguments)
    from mfn.animation.photo import detect

    writes = {"json": options.json, "draw": options.draw}
    return detect(_predictor(options), options.pictures, options.out, writes, options.quiet)


def _animate(arguments: list[str]) -> int:
    what = "Characters in place of the people in a picture or clip: NAME.glb, and of a picture NAME.png."
    parser = _parser("animate", "PICTURE|CLIP", what)
    parser.add_argument("input", type=str, help="a picture, or a video")
    _add_avatar(parser)
    text = "X.glb (of a picture with X.png beside it) or X.png; of a clip X.mp4, with its sound; or the performance alone: "
    text += "X.npz, X.jsonl, X.csv (Live Link Face, a file a person) (default: NAME.glb in the current directory)"
    parser.add_argument("--out", type=str, default=None, metavar="FILE", help=text)
    text = "most that a key left out of an animated X.glb may change a weight (turns: radians); 0 keeps every frame "
    parser.add_argument("--tolerance", type=float, default=0.002, metavar="T", help=text + "(default: %(default)s)")
    text = "clips: each person's resting face, as the clip shows it, becomes rest"
    parser.add_argument("--calibrate", action="store_true", help=text)
    parser.add_argument("--resume", action="store_true", help="clips: go on where Ctrl-C stopped")
    text = "names of an avatar's own targets (see retarget inspect --write-map); one for all avatars or one for each"
    parser.add_argument("--map", type=str, action="append", default=[], metavar="NAMES.json", help=text)
    for joint, node in (("head", "NODE"), ("neck", "NODE"), ("eyes", "LEFT,RIGHT")):
        text = "the avatar's joint of that name, where it is not found"
        parser.add_argument(f"--{joint}", type=str, default=None, metavar=node, help=text)
    parser.add_argument("--plain", action="store_true", help="the .png on plain ground, not over the photo")
    text = "focal length in px of the picture, if you know it (default: 1.2 times its longer side)"
    parser.add_argument("--focal", type=float, default=None, metavar="PX", help=text)
    parser.add_argument("--quiet", action="store_true", help="no progress")
    _add_network(parser)
    _add_tiles(parser)
    options = parser.parse_args(arguments)
    from mfn.animation.photo import AnimateOptions, animate

    given = AnimateOptions(
        options.avatar, options.out, options.focal, options.plain, options.quiet, options.tolerance,
        options.calibrate, options.resume, options.map, (options.head, options.neck, options.eyes),
    )
    return animate(_predictor(options), options.input, given)


def _live(arguments: list[str]) -> int:
    what = "A camera, or a clip as if it were one, to other programs. Drops frames, never queues them. Ends by Ctrl-C."
    parser = _parser("live", "CAMERA|CLIP", what)
    parser.add_argument("input", type=str, help="a camera's number (0 is the first), or a video")
    text = "one or several of vmc (VTuber programs), livelink (Unreal), window (default: window)"
    parser.add_argument("--to", type=str, nargs="+", default=["window"], metavar="PROGRAM", help=text)
    parser.add_argument("--host", type=str, default="127.0.0.1", help="where that program runs (default: this machine)")
    parser.add_argument("--port", type=int, default=None, help="its port (default: 39540 for vmc, 11111 for livelink)")
    text = "vmc: send so many people, each to a port of their own, from --port on (default: %(default)s)"
    parser.add_argument("--people", type=int, default=1, metavar="N", help=text)
    text = "vmc: names of the expressions: vrm0, vrm1, arkit, or those of your avatar's .vrm (default: %(default)s)"
    parser.add_argument("--names", type=str, default="vrm0", help=text)
    parser.add_argument("--seconds", type=float, default=None, metavar="S", help="stop after so long (default: go on)")
    parser.add_argument("--quiet", action="store_true", help="no figures in the terminal")
    _add_avatar(parser, "meshes of the faces; the window alone shows them")
    _add_network(parser, "small")
    options = parser.parse_args(arguments)
    from mfn.animation.live import LiveOptions, live

    given = {name: getattr(options, name) for name in ("to", "host", "port", "people", "names", "seconds", "quiet")}
    return live(_predictor(options), options.input, LiveOptions(**given, avatars=options.avatar))


def _demo(arguments: list[str]) -> int:
    parser = _parser("demo", "", "Renders a crowd of our own heads with known faces, runs the whole path, compares.")
    parser.add_argument("--out", type=str, default="mfn-demo", metavar="DIRECTORY", help="where to write (default: %(default)s)")
    parser.add_argument("--people", type=int, default=12, metavar="N", help="how many heads, up to 500 (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="each number makes another crowd (default: %(default)s)")
    _add_avatar(parser)
    _add_network(parser)
    options = parser.parse_args(arguments)
    from mfn.cli.demo import demo

    return demo(_predictor(options), options.out, options.people, options.seed, options.avatar)


def _bench(arguments: list[str]) -> int:
    parser = _parser("bench", "", "How long one 1280 x 720 frame takes on this machine, by the number of faces in it.")
    text = "frames to time for each row (default: %(default)s)"
    parser.add_argument("--repeats", type=int, default=20, metavar="N", help=text)
    _add_network(parser, "small")
    parser.set_defaults(threads=1)
    options = parser.parse_args(arguments)
    from mfn.cli.bench import bench

    return bench(_predictor(options), options.repeats)


def _annotate(arguments: list[str]) -> int:
    what = "Labels photos by landmarks and fitting: X.npz, X.tar and labels/X.npz, which `mfn fit` reads. Stopped, it goes on next time."
    parser = _parser("annotate", "PHOTOS... --out X.npz", what)
    parser.add_argument("photos", nargs="+", type=str, help="files, or directories for the pictures in them")
    parser.add_argument("--out", type=str, required=True, metavar="X.npz", help="the pack to write")
    text = "MediaPipe's model file (default: %(default)s in the current directory)"
    parser.add_argument("--landmarker", type=str, default="face_landmarker.task", metavar="FILE", help=text)
    text = "folder: the photos of one directory show one person; unknown (default)"
    parser.add_argument("--people", type=str, default="unknown", metavar="HOW", help=text)
    text = "larger photos are shrunk to this, 64 to 3000 (default: %(default)s)"
    parser.add_argument("--longest", type=int, default=1600, metavar="PX", help=text)
    _yes_no(parser, "second-look", "look at each face several times: slower, finds more, steadier (default: several times)")
    parser.add_argument("--photometric", action="store_true", help="fit the photo's colours too, not only landmarks (needs PyTorch3D)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    _add_network(parser)
    parser.set_defaults(score=0.4)
    options = parser.parse_args(arguments)
    from mfn.fitting.annotate import AnnotateOptions, annotate

    given = AnnotateOptions(
        options.landmarker, options.second_look, options.longest, options.people, options.quiet, options.photometric
    )
    return annotate(_predictor(options), options.photos, options.out, given)


def _with_torch(module: str, first: list[str], arguments: list[str]) -> int:
    """The `main` of a module that needs the train extra."""
    import warnings
    from importlib import import_module
    from importlib.util import find_spec

    missing = [name for name in ("torch", "lightning") if find_spec(name) is None]
    if missing:
        what = " and ".join(missing)
        raise ImportError(f"this command needs {what}: pip install '.[train]'")
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")  # sys.argv begins with our own verb
    import_module(module).main([*first, *arguments])
    return 0
